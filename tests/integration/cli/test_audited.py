"""What operators do on the command line to tenants, users of the broker and keys is recorded."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.cli import app
from tests.integration.cli.test_encryption import keys
from tests.stack import deployment

Run = Callable[..., Result]
DEPLOYMENT = "_deployment"


@pytest.fixture
def run(
    database_url: str, amqp_url: str, management_url: str, tls_folder: Path, prefix: str
) -> Run:
    """Run a command on the test's servers."""
    env = deployment() | {
        "TASKYARD_DATABASE_URL": database_url,
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": prefix,
        "TASKYARD_AMQP_ADMIN": management_url,
        "SSL_CERT_FILE": str(tls_folder / "ca.pem"),
        "TASKYARD_STORES": "",
    }
    return lambda *words, **more: CliRunner().invoke(app, words, env=env | more)


def recorded(run: Run, tenant: str) -> list[dict[str, Any]]:
    """The entries of a tenant, the oldest first, after the chains were found to be sound."""
    assert run("audit", "verify").exit_code == 0
    listed = run("audit", "list", "--tenant", tenant, "--json").stdout.splitlines()
    return [json.loads(line) for line in listed][::-1]


def test_a_change_of_a_tenants_quota_is_recorded(run: Run) -> None:
    """In the tenant's own log: its admins see who changed what."""
    assert run("tenants", "set", "acme", "--rate", "5/s", "--queued", "none").exit_code == 0
    assert run("tenants", "set", "acme", "--rate", "default", "--weight", "2").exit_code == 0
    assert run("tenants", "set", "acme", "--rate", "fast").exit_code == 2
    first, second = recorded(run, "acme")
    assert {first["action"], second["action"]} == {"tenant.changed"}
    assert first["target"] == "tenant:acme"
    assert first["detail"] == {"limits": {"rate": "5/s", "queued": None}}
    assert second["detail"] == {"default": ["rate"], "weight": 2.0}
    assert first["actor"].startswith("taskyard tenants, uid ")


def test_a_change_of_the_brokers_users_is_recorded(run: Run, tmp_path: Path, prefix: str) -> None:
    """With what was done, and no password; an apply that changes nothing records nothing."""
    users = {"TASKYARD_AMQP_USERS": str(tmp_path / "users")}
    for _ in range(2):
        done = run("topology", "apply", "--users", **users)
        assert done.exit_code == 0, done.output
    [entry] = recorded(run, DEPLOYMENT)
    assert (entry["action"], entry["target"]) == ("broker-users.changed", f"broker:{prefix}")
    assert entry["actor"].startswith("taskyard topology, uid ")
    assert f"+ user {prefix}.worker.calm" in entry["detail"]["steps"]
    passwords = [file.read_text().strip() for file in (tmp_path / "users").iterdir()]
    assert passwords
    assert [each for each in passwords if each in json.dumps(entry)] == []
    # And new passwords are a change as well
    assert run("topology", "apply", "--users", "--rotate", **users).exit_code == 0
    assert [each["detail"]["rotate"] for each in recorded(run, DEPLOYMENT)] == [False, True]


def test_users_are_not_changed_unseen(run: Run, tmp_path: Path) -> None:
    """While the database is away, or has no log yet, nothing is done to the broker."""
    users = {"TASKYARD_AMQP_USERS": str(tmp_path / "users")}
    away = {"TASKYARD_DATABASE_URL": "postgresql://u:p@127.0.0.1:1/none"}
    done = run("topology", "apply", "--users", **users, **away)
    assert (done.exit_code, "the database does not answer" in done.stderr) == (2, True)
    assert not (tmp_path / "users").exists()
    planned = run("topology", "plan", "--users", **users)
    assert "+ user " in planned.stdout


def test_a_reencryption_is_recorded_when_it_begins_and_ends(run: Run) -> None:
    """With the names of the keys, never the keys."""
    given = keys("k2", "k1")
    assert run("encryption", "reencrypt", TASKYARD_ENCRYPTION_KEYS=given).exit_code == 0
    begun, ended = recorded(run, DEPLOYMENT)
    assert (begun["action"], ended["action"]) == ("reencryption.begun", "reencryption.ended")
    assert begun["detail"] == {"active": "k2", "keys": ["k1", "k2"]}
    assert ended["detail"] == begun["detail"] | {"written": 0, "left": 0}
    assert [part for part in given.split(",") if part.split(":")[1] in str([begun, ended])] == []
