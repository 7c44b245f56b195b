"""`taskyard tenants`: limits as an operator sets and sees them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, amqp_url: str) -> Run:
    env = {"TASKYARD_DATABASE_URL": database_url, "TASKYARD_AMQP_URL": amqp_url}
    return lambda *words: CliRunner().invoke(app, ["tenants", *words], env=env)


def limits(run: Run, name: str) -> Any:
    [found] = json.loads(run("show", name, "--json").stdout)
    return found["limits"]


def test_limits_are_set_one_by_one(run: Run) -> None:
    """What is not named stays; `default` forgets, `none` is unlimited."""
    done = run("set", "acme", "--rate", "500/s", "--queued", "10000", "--weight", "2")
    assert done.exit_code == 0, done.stderr
    assert "500/s" in done.stdout
    run("set", "acme", "--queued", "none", "--stored", "10GiB")
    assert limits(run, "acme") == {"rate": "500/s", "queued": None, "stored": "10GiB"}
    run("set", "acme", "--rate", "default")
    assert limits(run, "acme") == {"queued": None, "stored": "10GiB"}
    listed = json.loads(run("list", "--json").stdout)
    assert [(each["name"], each["weight"]) for each in listed] == [("acme", 2), ("default", 1)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["set", "acme", "--rate", "fast"], "--rate is 'fast'"),
        (["set", "acme", "--in-flight", "0"], "--in-flight is 0"),
        (["set", "acme", "--queued", "many"], "--queued is 'many'"),
        (["set", "acme", "--stored", "1MB"], "--stored is '1MB'"),
        (["set", "Acme!"], "is no name for a tenant"),
        (["show", "nobody"], "there is no tenant 'nobody'"),
    ],
)
def test_what_cannot_be_is_said_and_changes_nothing(run: Run, words: list[str], says: str) -> None:
    """In words, with exit code 2."""
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.stderr
    assert [each["name"] for each in json.loads(run("list", "--json").stdout)] == ["default"]
