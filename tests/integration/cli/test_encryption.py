"""`taskyard encryption …`, as an operator changes keys."""

import base64
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from taskyard.cli import app
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sealing import KeyRing
from tests.encryption import ring
from tests.stack import deployment
from tests.submissions import new


@pytest.fixture
def operator(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in deployment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TASKYARD_DATABASE_URL", database_url)
    monkeypatch.setenv("TASKYARD_AMQP_URL", "amqp://nobody@127.0.0.1:1/none")


def keys(*ids: str) -> str:
    """The setting that makes the ring of these ids."""
    secrets = {each: base64.b64encode(each.encode().ljust(32, b"-")).decode() for each in ids}
    return ",".join(f"{name}:{secret}" for name, secret in secrets.items())


def run(given: str, *command: str) -> Result:
    return CliRunner().invoke(
        app, ["encryption", *command], env={"TASKYARD_ENCRYPTION_KEYS": given}
    )


def counts(given: str) -> dict[str, Any]:
    result = run(given, "status", "--json")
    shown: dict[str, Any] = json.loads(result.output)
    return {**shown, "counts": {each["key"]: each["count"] for each in shown["counts"]}}


@pytest.fixture
async def stored(connection: AsyncConnection) -> None:
    """One task that is plain, two of the key k1."""
    for kept in (KeyRing(), ring("k1"), ring("k1")):
        connection.ring = kept
        await tasks.insert(connection, [new(None)])


@pytest.mark.usefixtures("operator", "stored")
def test_keys_are_changed_and_the_old_one_is_taken_out() -> None:
    """Status tells what is left to do, reencrypt does it, and a key still needed is named."""
    assert counts(keys("k2", "k1")) == {
        "active": "k2", "missing": [], "counts": {"plain": 1, "k1": 2},
    }  # fmt: skip
    lost = run(keys("k2"), "status")
    assert lost.exit_code == 2
    assert "the key 'k1' is not in TASKYARD_ENCRYPTION_KEYS" in lost.output
    too_soon = run(keys("k2"), "reencrypt")
    assert too_soon.exit_code == 2
    assert "1 rows written anew, 2 left" in too_soon.output
    done = run(keys("k2", "k1"), "reencrypt")
    assert (done.exit_code, "2 rows written anew, 0 left" in done.output) == (0, True)
    assert counts(keys("k2")) == {"active": "k2", "missing": [], "counts": {"k2": 3}}
