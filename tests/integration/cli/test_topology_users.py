"""`taskyard topology plan|apply --users`, as an operator runs it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.broker.declare import may_log_in
from taskyard.cli import app
from taskyard.connections import as_user
from tests.stack import deployment

Run = Callable[..., Result]


@pytest.fixture
def run(
    database_url: str, amqp_url: str, management_url: str, tls_folder: Path, prefix: str
) -> Run:
    """Run a command of `taskyard topology` on the test's servers."""
    env = deployment() | {
        "TASKYARD_DATABASE_URL": database_url,
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": prefix,
        "TASKYARD_AMQP_ADMIN": management_url,
        "TASKYARD_STORES": "",
        # For the management API; TASKYARD_AMQP_TLS_CA would go with amqps:// alone.
        "SSL_CERT_FILE": str(tls_folder / "ca.pem"),
    }
    return lambda *words, **more: CliRunner().invoke(app, ["topology", *words], env=env | more)


def test_users_come_first_and_the_topology_is_made_by_one_of_them(
    run: Run, tmp_path: Path, prefix: str
) -> None:
    """A plan shows what it can before there are users; an apply makes both; then all is done."""
    users = {"TASKYARD_AMQP_USERS": str(tmp_path / "users")}
    before = run("plan", "--users", **users)
    assert before.exit_code == 2, before.output
    assert f"+ user {prefix}.worker.calm" in before.output
    assert f"there is no password of the broker's user {prefix}.dispatcher" in before.output
    applied = run("apply", "--users", **users)
    assert applied.exit_code == 0, applied.output
    assert f"+ queue {prefix}.pool.calm" in applied.output
    after = run("plan", "--users", **users)
    assert (after.exit_code, after.output) == (0, "the broker is as the routing table wants it\n")
    kept = {path.name: path.read_text().strip() for path in (tmp_path / "users").iterdir()}
    assert not any(password in applied.output for password in kept.values())


def test_without_a_folder_each_password_is_shown_once(run: Run, amqp_url: str, prefix: str) -> None:
    """They work, and a second apply shows none."""
    shown = dict(
        re.findall(r"password of (\S+), shown once: (\S+)", run("apply", "--users").output)
    )
    assert set(shown) == {
        f"{prefix}.{role}"
        for role in ("api", "dispatcher", "ingest", "worker.calm", "worker.quick")
    }
    assert all(may_log_in(as_user(amqp_url, user, word)) for user, word in shown.items())
    assert "shown once" not in run("apply", "--users").output


def test_a_role_without_its_password_is_told_what_makes_it(run: Run, tmp_path: Path) -> None:
    """So is whoever applies the topology with a folder that is empty."""
    refused = run("apply", TASKYARD_AMQP_USERS=str(tmp_path))
    assert refused.exit_code == 2
    assert "`taskyard topology apply --users` makes it" in refused.output
    assert run("apply", "--rotate").exit_code == 2
