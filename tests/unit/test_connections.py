"""connections.py: what the settings say of TLS becomes part of the URLs, or a fault in words."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme

from taskyard.connections import as_user
from taskyard.core.errors import InvalidSettings
from taskyard.settings import Settings, load

ROOT = Path(__file__).parents[2]
GOOD = {
    "TASKYARD_DATABASE_URL": "postgresql://u:p@db.test/d?connect_timeout=5",
    "TASKYARD_AMQP_URL": "amqps://u:p@mq.test/v",
    "TASKYARD_ROUTING": str(ROOT / "routing"),
    "TASKYARD_WORKERS": str(ROOT),
}


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """The files of a throwaway CA, and of a certificate that it issued."""
    folder, ca = tmp_path_factory.mktemp("pem"), trustme.CA()
    issued, other = ca.issue_cert("mq.test"), ca.issue_cert("db.test")
    ca.cert_pem.write_to_path(folder / "ca with space.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    other.private_key_pem.write_to_path(folder / "other.pem")
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "cert.pem", append=True)
    return {path.stem.split()[0]: str(path) for path in folder.iterdir()}


def given(**more: str) -> Settings:
    return load(GOOD | {f"TASKYARD_{name.upper()}": value for name, value in more.items()})


def faults(**more: str) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        given(**more)
    return [str(fault) for fault in caught.value.faults]


def test_files_become_parameters_of_the_urls(pem: Mapping[str, str]) -> None:
    """Each driver finds in its URL what it needs, and what was there stays."""
    files = {
        f"{thing}_tls_{what}": pem[name]
        for thing in ("amqp", "database")
        for what, name in (("ca", "ca"), ("certificate", "cert"), ("key", "key"))
    }
    settings = given(**files)
    assert parse_qs(urlsplit(settings.amqp_url).query) == {
        "cafile": [pem["ca"]],
        "certfile": [pem["cert"]],
        "keyfile": [pem["key"]],
    }
    assert parse_qs(urlsplit(settings.database_url).query) == {
        "connect_timeout": ["5"],
        "sslmode": ["verify-full"],
        "sslrootcert": [pem["ca"]],
        "sslcert": [pem["cert"]],
        "sslkey": [pem["key"]],
    }
    assert "+" not in urlsplit(settings.amqp_url).query  # a plus is a plus to libpq


def test_completing_twice_changes_nothing(pem: Mapping[str, str]) -> None:
    """A process may hand its complete URL to a child that has the same settings."""
    once = given(database_tls_ca=pem["ca"], amqp_tls_ca=pem["ca"])
    again = given(
        database_tls_ca=pem["ca"],
        amqp_tls_ca=pem["ca"],
        database_url=once.database_url,
        amqp_url=once.amqp_url,
    )
    assert again == once


def test_without_settings_the_urls_are_left_as_they_are() -> None:
    """Nothing is added, and nothing is quoted anew."""
    settings = given()
    assert settings.database_url == GOOD["TASKYARD_DATABASE_URL"]
    assert settings.amqp_url == GOOD["TASKYARD_AMQP_URL"]


def test_every_contradiction_is_said_at_once(pem: Mapping[str, str]) -> None:
    """Half a pair, a key of another certificate, no PEM, TLS for a plain URL, a weak sslmode."""
    found = faults(
        amqp_url="amqp://u:p@mq.test/v",
        amqp_tls_ca=str(ROOT / "README.md"),
        amqp_tls_key=pem["key"],
        database_tls_ca=pem["ca"],
        database_url="postgresql://u:p@db.test/d?sslmode=require",
        api_tls_certificate=pem["cert"],
        api_tls_key=pem["other"],
    )
    named = [fault.split(":")[0].removeprefix("TASKYARD_") for fault in found]
    assert named == [
        "AMQP_TLS_CERTIFICATE",
        "AMQP_TLS_CA",
        "API_TLS_CERTIFICATE",
        "AMQP_URL",
        "DATABASE_URL",
    ]
    assert "sslmode=require, which does not check" in found[-1]


def test_a_file_that_is_not_there_is_named() -> None:
    """Before anything connects."""
    assert "cannot be read" in faults(amqp_tls_ca="/nowhere/ca.pem")[0]


def test_a_user_is_put_into_a_url_whatever_it_holds() -> None:
    """Reserved characters survive, and so do port, virtual host and parameters."""
    url = as_user("amqps://old:p@mq.test:5671/%2F?cafile=/a", "a/b", "p@:?#%")
    parts = urlsplit(url)
    assert (parts.username, parts.password) == ("a%2Fb", "p%40%3A%3F%23%25")
    assert (parts.hostname, parts.port, parts.path) == ("mq.test", 5671, "/%2F")
    assert parts.query == "cafile=/a"
    assert as_user("amqp://mq.test/v", "u", "p") == "amqp://u:p@mq.test/v"
