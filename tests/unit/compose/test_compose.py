"""compose/: what can be proven of the container files without a container engine."""

import json
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from taskyard.core.units import duration

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "compose"

_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")
_SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|_PASS$|_KEY$")
_PINNED = re.compile(r".+:\d+\.\d+[\w.-]*")


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    """Return the file with its anchors merged; variables stay as they are written."""
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def services(stack: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = stack["services"]
    return found


def specification() -> Any:
    """Return the schema as published; check-jsonschema keeps a copy of it up to date."""
    schemas = resources.files("check_jsonschema.builtin_schemas.vendor")
    return json.loads((schemas / "compose-spec.json").read_text())


def pools() -> dict[str, Any]:
    return tomllib.loads((ROOT / "routing" / "pools.toml").read_text())


def test_the_file_fits_the_compose_specification(stack: dict[str, Any]) -> None:
    """compose.yaml is valid under the JSON Schema that the specification publishes."""
    jsonschema.Draft202012Validator(specification()).validate(stack)


def test_the_specification_refuses_an_unknown_key(stack: dict[str, Any]) -> None:
    """The schema is strict: a misspelt key of a service does not pass."""
    wrong = {**stack, "services": {"api": {"image": "taskyard:0.1.0", "helthcheck": {}}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(specification()).validate(wrong)


def test_every_pool_has_its_workers(services: dict[str, Any]) -> None:
    """Each pool of the routing table has one worker service, and no worker lacks a pool."""
    commands = {tuple(service.get("command", ())) for service in services.values()}

    workers = {command[1] for command in commands if command[:1] == ("worker",)}

    assert workers == set(pools())


@pytest.mark.parametrize("pool", pools())
def test_workers_are_given_the_time_to_drain(services: dict[str, Any], pool: str) -> None:
    """A worker is killed no sooner than its pool's drain allows."""
    drain = duration(pools()[pool].get("drain", "30s"))

    assert duration(services[f"worker-{pool}"]["stop_grace_period"]) >= drain


def test_nothing_is_published_beyond_this_host(services: dict[str, Any]) -> None:
    """Every published port is bound to loopback."""
    published = [port for service in services.values() for port in service.get("ports", ())]

    assert published, "the API is reached from the host"
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_servers_cannot_be_reached_from_outside(stack: dict[str, Any]) -> None:
    """Postgres and RabbitMQ publish nothing and are on the internal network alone."""
    assert stack["networks"]["data"]["internal"] is True
    for name in ("postgres", "rabbitmq"):
        assert stack["services"][name]["networks"] == ["data"]
        assert "ports" not in stack["services"][name]


def test_every_image_is_pinned(services: dict[str, Any]) -> None:
    """No image floats: each has a tag of at least a major and a minor version."""
    floating = {
        service["image"] for service in services.values() if not _PINNED.fullmatch(service["image"])
    }

    assert not floating


def test_no_secret_is_written_down(services: dict[str, Any]) -> None:
    """Each secret comes from a variable without which compose refuses to start."""
    for service in services.values():
        for name, value in service.get("environment", {}).items():
            if _SECRET.search(name):
                assert _VARIABLE.fullmatch(value), f"{name} has a literal value"
            for variable in _VARIABLE.finditer(value):
                if _SECRET.search(variable["name"]):
                    assert variable["rest"].startswith(":?"), f"{variable['name']} may be empty"
            assert not re.search(r"://[^/@]*:[^$@/][^@/]*@", value), f"{name} holds a password"


def test_the_example_names_every_variable_and_no_secret() -> None:
    """.env.example has each variable of both files, and leaves the secrets empty."""
    lines = (COMPOSE / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    files = ("compose.yaml", "observability.yaml")
    text = "".join((COMPOSE / name).read_text() for name in files)
    used = {found["name"] for found in _VARIABLE.finditer(text)}

    assert set(given) == used
    assert not any(value for name, value in given.items() if _SECRET.search(name))


def test_every_container_is_confined(services: dict[str, Any]) -> None:
    """No service has capabilities or can gain privileges; ours have a read-only root."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.get("read_only", False) or service["image"].startswith(
            ("postgres:", "rabbitmq:")
        ), name
        assert not service.get("privileged", False), name


def test_the_roles_wait_for_schema_and_topology(services: dict[str, Any]) -> None:
    """API, dispatcher and workers start after the one-shot `migrate` has succeeded."""
    servers = {"postgres", "rabbitmq", "migrate"}

    for name in services.keys() - servers:
        waits = services[name]["depends_on"]
        assert waits["migrate"] == {"condition": "service_completed_successfully"}, name
    command = " ".join(services["migrate"]["command"])
    assert command == "taskyard migrate && taskyard topology apply --users"


def test_every_mounted_volume_and_network_is_declared(stack: dict[str, Any]) -> None:
    """Each named volume and network that a service uses is declared, and each one is used."""
    services = stack["services"].values()
    volumes = {
        mount["source"]
        for service in services
        for mount in service.get("volumes", ())
        if mount["type"] == "volume"
    }
    networks = {network for service in services for network in service["networks"]}

    assert volumes == set(stack["volumes"])
    assert networks == set(stack["networks"])
