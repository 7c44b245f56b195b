"""compose/observability.yaml: Prometheus sees every role, and Grafana what Prometheus has."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from taskyard.settings import SETTINGS
from tests.unit.compose.test_compose import COMPOSE, specification

Document = dict[str, Any]
_PINNED = re.compile(r".+:v?\d+\.\d+\.\d+")


def read(name: str) -> Document:
    found: Document = yaml.safe_load((COMPOSE / name).read_text())
    return found


@pytest.fixture(scope="module")
def overlay() -> Document:
    """What is laid over, with its anchors merged."""
    return read("observability.yaml")


@pytest.fixture(scope="module")
def servers(overlay: Document) -> Document:
    """What it adds."""
    return {name: overlay["services"][name] for name in ("prometheus", "grafana")}


def roles() -> set[str]:
    """The services of compose.yaml that run a role which tells its own metrics."""
    commands = {
        name: each.get("command", [""]) for name, each in read("compose.yaml")["services"].items()
    }
    return {n for n, given in commands.items() if given[0] in ("dispatcher", "ingest", "worker")}


def test_it_fits_the_compose_specification(overlay: Document) -> None:
    """As a file of its own; what it is laid over is validated elsewhere."""
    jsonschema.Draft202012Validator(specification()).validate(overlay)


def test_every_role_is_watched(overlay: Document) -> None:
    """Each serves its metrics where Prometheus looks for them, on a network that both are on."""
    jobs = {job["job_name"]: job for job in read("prometheus/prometheus.yml")["scrape_configs"]}
    [found] = jobs["taskyard-roles"]["dns_sd_configs"]
    assert set(found["names"]) == roles()
    for name in roles():
        given = overlay["services"][name]
        listens = SETTINGS["metrics_listen"].parse(given["environment"]["TASKYARD_METRICS_LISTEN"])
        assert listens == ("0.0.0.0", found["port"])
        assert set(given["networks"]) == {"data", "watch"}
    [api] = jobs["taskyard"]["static_configs"]
    assert api["targets"] == ["api:8000"]
    assert set(overlay["services"]["api"]["networks"]) == {"data", "front", "watch"}


def test_the_api_is_scraped_without_a_key_from_there_alone(overlay: Document) -> None:
    """From the range of the network that nothing else is on, and nothing is published on."""
    given = overlay["services"]["api"]["environment"]["TASKYARD_METRICS_NETWORKS"]
    watch = overlay["networks"]["watch"]
    assert [each["subnet"] for each in watch["ipam"]["config"]] == [given]
    assert watch["internal"] is True
    assert (
        "front" not in overlay["services"]["prometheus"]["networks"]
    )  # `api` has one address here
    assert SETTINGS["metrics_networks"].parse(given)


def test_both_servers_are_pinned_confined_and_local(servers: Document) -> None:
    """As every other container is."""
    for name, service in servers.items():
        assert _PINNED.fullmatch(service["image"]), name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is True, name
        assert all(port.startswith("127.0.0.1:") for port in service["ports"]), name


def test_what_is_mounted_is_there(servers: Document) -> None:
    """Each folder that is bound, and in them what the configuration names."""
    bound = {
        Path(each["target"]): COMPOSE / each["source"]
        for service in servers.values()
        for each in service["volumes"]
        if each["type"] == "bind"
    }
    assert all(folder.is_dir() for folder in bound.values())
    rules = read("prometheus/prometheus.yml")["rule_files"]
    assert all((bound[Path("/etc/prometheus")] / name).is_file() for name in rules)
    [provider] = read("grafana/provisioning/dashboards/taskyard.yml")["providers"]
    dashboards = bound[Path(provider["options"]["path"])]
    assert sorted(each.name for each in dashboards.iterdir()) == ["pool.json", "yard.json"]


def test_grafana_asks_prometheus(servers: Document) -> None:
    """By the name of its service, on a network that both are on."""
    [source] = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert set(servers["grafana"]["networks"]) <= set(servers["prometheus"]["networks"])


def test_the_password_comes_from_the_environment(servers: Document) -> None:
    """And without it compose refuses to start."""
    given = servers["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert given.startswith("${GRAFANA_PASSWORD:?")
