"""Pausing a pool of a running gateway: nothing starts, nothing is lost."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Gateway, environment, until

POOL = "/v1/pools/quick"


@pytest.fixture
def resumed(yard: Gateway) -> Iterator[Gateway]:
    """A yard that others use after this test."""
    yield yard
    yard.http.post(f"{POOL}/resume").raise_for_status()


def pools(gateway: Gateway, *words: str) -> str:
    """What `taskyard pools` prints."""
    command = [sys.executable, "-m", "taskyard", "pools", *words]
    done = subprocess.run(
        command,
        env=environment(COLUMNS="200", **gateway.reach),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def entries(gateway: Gateway, action: str) -> list[dict[str, Any]]:
    found = gateway.http.get("/v1/audit", params={"action": action}).raise_for_status().json()
    return list(found["items"])


def test_nothing_of_a_paused_pool_starts_and_all_of_it_runs_once_resumed(
    resumed: Gateway, tmp_path: Path
) -> None:
    """What runs goes on; what lay in the broker and what came later waits, and says why."""
    yard, begun = resumed, tmp_path / "begun"
    # Given tasks that take every slot, and more of them behind, in the broker
    path = {"path": str(begun), "seconds": 60}
    long = [yard.submit("quick.slow_echo", path)["id"] for _ in range(2)]
    for each in long:
        yard.wait(each, "running")
    held = [yard.submit("quick.echo", {"value": n})["id"] for n in range(4)]  # the least window
    for each in held:
        yard.wait(each, "queued")
    # When the pool is paused, and more is submitted
    yard.http.post(f"{POOL}/pause", json={"reason": "it leaks"}).raise_for_status()
    later = [yard.submit("quick.echo", {"value": n})["id"] for n in range(4, 10)]
    # Then what runs goes on, and once its slots are free nothing else takes them
    assert {yard.get(each)["state"] for each in long} == {"running"}
    for each in long:
        yard.http.post(f"/v1/tasks/{each}/cancel").raise_for_status()
        assert yard.wait(each)["state"] == "cancelled"
    until(
        lambda: yard.http.get(POOL).json(),
        satisfied=lambda pool: (pool["depth"], pool["running"]) == (0, 0),
    )
    states = {yard.get(each)["state"] for each in (*held, *later)}
    assert states <= {"scheduled", "pending"}
    for each in (held[0], later[0]):
        why = yard.http.get(f"/v1/tasks/{each}/why").json()
        assert (why["code"], "it leaks" in why["sentence"]) == ("pool-paused", True)
    # And when it is resumed, then all of it runs, each once
    yard.http.post(f"{POOL}/resume").raise_for_status()
    for n, each in enumerate((*held, *later)):
        task = yard.wait(each)
        assert (task["state"], task["result"], task["attempt"]) == ("succeeded", n, 1)


def test_the_command_says_what_it_does_and_the_log_who_did_it(resumed: Gateway) -> None:
    """Said twice it is one entry; the list, the document and the metric show it."""
    yard = resumed
    before = len(entries(yard, "pool.paused")), len(entries(yard, "pool.resumed"))
    assert "paused" in pools(yard, "pause", "quick", "--reason", "[red]moving")
    first = json.loads(pools(yard, "pause", "quick", "--reason", "another", "--json"))
    assert first["paused"]["reason"] == "[red]moving"
    assert "[red]moving" in pools(yard, "list")
    assert json.loads(pools(yard, "show", "quick", "--json"))["paused"]["reason"] == "[red]moving"
    metrics = yard.http.get("/metrics").text
    assert 'taskyard_pool_paused{pool="quick"} 1.0' in metrics
    assert pools(yard, "resume", "quick") == "quick: resumed\n"
    assert json.loads(pools(yard, "resume", "quick", "--json"))["paused"] is None
    after = len(entries(yard, "pool.paused")), len(entries(yard, "pool.resumed"))
    assert after == (before[0] + 1, before[1] + 1)
    assert entries(yard, "pool.paused")[0]["detail"] == {"reason": "[red]moving"}


@pytest.mark.parametrize("done", ["pause", "resume"])
def test_a_pool_that_is_not_there_is_said_to_be_missing(yard: Gateway, done: str) -> None:
    """404, and nothing is stored."""
    answer = yard.http.post(f"/v1/pools/nowhere/{done}")
    assert (answer.status_code, answer.json()["code"]) == (404, "pool-not-found")
