"""compose/: each role has the secret of its own user, and with tls.yaml all of it is safe."""

import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme
import yaml

from taskyard.broker.users import wanted
from taskyard.core.errors import InvalidSettings
from taskyard.routing_files import read_routing
from taskyard.settings import Settings, load
from tests.unit.compose.test_compose import COMPOSE, ROOT, specification
from tests.unit.compose.test_dockerfile import instructions

Document = dict[str, Any]


@pytest.fixture(scope="module")
def base() -> Document:
    found: Document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def tls() -> Document:
    found: Document = yaml.safe_load((COMPOSE / "tls.yaml").read_text())
    return found


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What stands in /run/secrets: here with certificates of a throwaway CA."""
    folder, ca = tmp_path_factory.mktemp("secrets"), trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued = ca.issue_cert("api.test")
    issued.cert_chain_pems[0].write_to_path(str(folder / "api.pem"))
    issued.private_key_pem.write_to_path(str(folder / "api.key"))
    return folder


def roles(base: Document) -> dict[str, tuple[str, ...]]:
    """Return the command of each service that is a role."""
    return {
        name: tuple(service["command"])
        for name, service in base["services"].items()
        if service["image"].startswith("taskyard:") and name != "migrate"
    }


def settings(service: str, secrets: Path, *files: Document) -> Settings:
    """Return what a service's process makes of its environment."""
    image = next(each.rest for each in instructions()[::-1] if each.keyword == "ENV")
    env = dict(re.findall(r"(TASKYARD_\w+)=(\S+)", image))
    for file in files:
        env |= file["services"].get(service, {}).get("environment", {})
    given = {
        name: re.sub(r"\$\{\w+:\?[^}]*\}", "f2c5a1" * 8, text).replace("/run/secrets", str(secrets))
        for name, text in env.items()
    }
    return load(given | {"TASKYARD_ROUTING": f"{ROOT}/routing", "TASKYARD_WORKERS": str(ROOT)})


def test_each_role_has_the_password_of_its_own_user_and_no_other(base: Document) -> None:
    """Whoever breaks into one container can log in as nobody else."""
    for name, command in roles(base).items():
        assert base["services"][name]["secrets"] == [".".join(("taskyard", *command))], name


def test_every_user_is_made_and_has_a_password(base: Document) -> None:
    """The routing table, what `migrate` is given and the secrets that there are agree."""
    users = {user.name for user in wanted(read_routing(ROOT / "routing"), "taskyard")}
    assert set(base["services"]["migrate"]["secrets"]) == users
    assert set(base["secrets"]) == users


def test_passwords_are_made_once(tmp_path: Path, base: Document) -> None:
    """A second run leaves them: containers are using them."""
    for name in ("make-passwords", "compose.yaml"):
        (tmp_path / name).write_bytes((COMPOSE / name).read_bytes())
    seen = []
    for _ in range(2):
        subprocess.run(["sh", tmp_path / "make-passwords"], check=True)
        seen.append({path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()})
    assert seen[0] == seen[1]
    assert set(seen[0]) == set(base["secrets"])
    assert len(set(seen[0].values())) == len(seen[0])
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0


def test_the_overlay_fits_the_specification(base: Document, tls: Document) -> None:
    """And changes services that there are, with secrets and configs that it declares."""
    jsonschema.Draft202012Validator(specification()).validate(tls)
    assert tls["services"].keys() == base["services"].keys()
    used = {name for service in tls["services"].values() for name in service.get("secrets", ())}
    assert used == set(tls["secrets"])
    for config in tls["configs"].values():
        assert (COMPOSE / config["file"]).is_file()


def test_production_accepts_every_service_of_the_overlay(
    base: Document, tls: Document, secrets: Path
) -> None:
    """And is what refuses them without it."""
    for name in (*roles(base), "migrate"):
        given = settings(name, secrets, base, tls)
        assert given.production, name
        assert given.amqp_url.startswith("amqps://rabbitmq:5671/"), name
        assert "sslmode=verify-full" in given.database_url, name
        bare = {"services": {name: {"environment": {"TASKYARD_MODE": "production"}}}}
        with pytest.raises(InvalidSettings):
            settings(name, secrets, base, bare)


def test_every_file_that_a_service_names_is_a_secret_of_it(base: Document, tls: Document) -> None:
    """Also those in the broker's configuration and on the command line of Postgres."""
    for name, service in tls["services"].items():
        texts = [str(service.get("environment", "")), str(service.get("command", ""))]
        if "configs" in service:
            texts.append((COMPOSE / "rabbitmq-tls.conf").read_text())
        named = set(re.findall(r"/run/secrets/([\w.-]+)", " ".join(texts)))
        assert named <= set(service["secrets"]), name
        assert set(service["secrets"]) == named, name
