"""`taskyard sessions`: who is logged in, as an operator sees and ends it."""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.cli import app
from taskyard.core.principal import Principal, Scope, TenantId
from taskyard.core.session import ByIssuer, ByKey
from taskyard.services.sessions import Sessions
from taskyard.storage.pool import open_pool

Run = Callable[..., Result]


@pytest.fixture
async def logged_in(database_url: str) -> None:
    """Ada twice, Bob in another tenant; and somebody whose key is no longer there."""
    async with open_pool(database_url, name="tests", size=1) as pool:
        sessions = Sessions(pool, issuers=("i",), clock=lambda: 0.0)
        for secret, name, tenant in (("1", "ada", "acme"), ("2", "ada", "acme"), ("3", "bob", "b")):
            who = Principal(tenant=TenantId(tenant), name=name, scopes=frozenset({Scope.READ}))
            await sessions.begin(who, ByIssuer("i"), secret)
        await sessions.begin(who, ByKey("gone"), "4")


@pytest.fixture
def run(logged_in: None, database_url: str, amqp_url: str) -> Run:
    env = {"TASKYARD_DATABASE_URL": database_url, "TASKYARD_AMQP_URL": amqp_url}
    return lambda *words: CliRunner().invoke(app, words, env=env)


def listed(run: Run, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run("sessions", "list", "--json", *words).stdout)
    return found


def names(run: Run, *words: str) -> list[str]:
    return [each["principal"] for each in listed(run, *words)]


def test_open_sessions_are_listed(run: Run) -> None:
    """The latest first, of all, a tenant or a principal; those that are over are not."""
    assert names(run) == ["bob", "ada", "ada"]
    assert names(run, "--tenant", "acme") == names(run, "--principal", "ada") == ["ada", "ada"]
    assert names(run, "--limit", "1") == ["bob"]
    assert "digest" not in listed(run)[0]
    shown = run("sessions", "list").stdout
    assert listed(run)[0]["id"] in shown


def test_sessions_are_ended_one_or_all_of_somebody(run: Run) -> None:
    """With exit code 2 when there are none, and an entry in the log of each tenant."""
    latest = listed(run)[0]["id"]
    assert run("sessions", "end", latest).stdout == f"{latest} of bob is ended\n"
    assert names(run) == ["ada", "ada"]
    assert run("sessions", "end", "--principal", "ada").exit_code == 0
    assert names(run) == []
    for words in ([latest], [str(uuid4())], ["--principal", "ada"]):
        done = run("sessions", "end", *words)
        assert (done.exit_code, "there is no such session" in done.stderr) == (2, True)
    log = run("audit", "list", "--tenant", "acme", "--action", "session.ended", "--json").stdout
    actors = [json.loads(line)["actor"] for line in log.splitlines()]
    assert [actor.startswith("taskyard sessions, uid ") for actor in actors] == [True, True]


def test_not_all_are_ended_by_mistake(run: Run) -> None:
    """Whoever forgets to say which is asked for it."""
    done = run("sessions", "end")
    assert (done.exit_code, "say which" in done.stderr) == (2, True)
    assert len(names(run)) == 3
