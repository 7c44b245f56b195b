"""A pool moves to another queue while its worker runs: a stack with a routing table of its own."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from amqp.exceptions import NotFound

from taskyard.broker.declare import connected
from tests.stack import HERE, Gateway, Json, deployment, environment, gateway, until

TASKS = 200


@pytest.fixture(scope="module")
def settings(server_url: str, amqp_url: str, tmp_path_factory: pytest.TempPathFactory) -> Json:
    """What the stack and the commands beside it are given: a routing folder that may change."""
    name = f"e2e_{uuid4().hex[:10]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    routing = tmp_path_factory.mktemp("routing") / "routing"
    shutil.copytree(HERE / "deployment" / "routing", routing)
    # The queue is to be full, so the dispatcher may not keep back what waits.
    pools = (routing / "pools.toml").read_text()
    (routing / "pools.toml").write_text(pools.replace("[quick]\n", "[quick]\nwindow = 1000\n"))
    return {
        **deployment(),
        "TASKYARD_DATABASE_URL": server_url.rsplit("/", 1)[0] + f"/{name}",
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": f"e{uuid4().hex[:8]}",
        "TASKYARD_ROUTING": str(routing),
    }


@pytest.fixture(scope="module")
def yard(settings: Json) -> Iterator[Gateway]:
    """The stack; both tests use it, one after the other."""
    with gateway(**settings) as running:
        yield running


@pytest.fixture
def gates(tmp_path: Path) -> list[Path]:
    """A FIFO for each process of pool quick: `quick.wait` reads from it until somebody writes."""
    paths = [tmp_path / f"gate{number}" for number in range(2)]
    for path in paths:
        os.mkfifo(path)
    return paths


def topology(settings: Json, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "taskyard", "topology", *command],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )


def change_queue_type(settings: Json, kind: str, *, pool: str = "quick") -> None:
    """Write into pools.toml what kind of queue a pool has; the others have the default."""
    file = Path(settings["TASKYARD_ROUTING"]) / "pools.toml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("queue_type")]
    lines.insert(lines.index(f"[{pool}]") + 1, f'queue_type = "{kind}"')
    file.write_text("\n".join(lines))


def pool(yard: Gateway, name: str = "quick") -> Json:
    return dict(yard.http.get(f"/v1/pools/{name}").json())


def exists(yard: Gateway, queue: str) -> bool:
    with connected(yard.ready["amqp_url"]) as broker:
        try:
            broker.channel().queue_declare(queue, passive=True)
        except NotFound:
            return False
    return True


def submit_notes(yard: Gateway, notes: Path, count: int) -> list[str]:
    tasks = [
        {"type": "quick.note", "args": {"path": str(notes), "line": uuid4().hex}}
        for _ in range(count)
    ]
    response = yard.http.post("/v1/tasks/batch", json={"tasks": tasks})
    assert response.json()["accepted"] == count, response.text
    return [item["id"] for item in response.json()["items"]]


def occupy(yard: Gateway, gates: list[Path]) -> list[str]:
    """Let both processes of pool quick wait, each at its gate."""
    waiting = [yard.submit("quick.wait", {"path": str(gate)})["id"] for gate in gates]
    for task_id in waiting:
        yard.wait(task_id, "running")
    return waiting


def release(gates: list[Path]) -> None:
    """Open the gates; opening one waits for its reader."""
    for gate in gates:
        with gate.open("w") as writer:
            writer.write("go")


@pytest.mark.parametrize(("before", "kind"), [("classic", "quorum"), ("quorum", "classic")])
def test_a_pool_with_a_full_queue_moves_to_another_kind_of_queue(
    yard: Gateway, settings: Json, gates: list[Path], tmp_path: Path, before: str, kind: str
) -> None:
    """Every task succeeds, each effect is there once, the old queue goes, the worker stays."""
    # Given a queue with 200 wake-ups and a worker with its hands full
    notes = tmp_path / "notes"
    change_queue_type(settings, before)
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    workers = yard.processes("worker", "quick")
    old = pool(yard)["queue"]
    waiting = occupy(yard, gates)
    ids = submit_notes(yard, notes, TASKS)
    until(lambda: pool(yard)["depth"], satisfied=lambda depth: depth == TASKS)
    # When the pool's queue type changes
    change_queue_type(settings, kind)
    planned = topology(settings, "plan")
    assert planned.returncode == 2
    applied = topology(settings, "apply")
    assert applied.returncode == 0, applied.stderr
    # Then the old queue keeps what it holds, and new wake-ups go to the new one
    new = pool(yard)["queue"]
    assert f"replaces {old}" in planned.stdout
    assert f"{old} was replaced by {new}, but {TASKS} messages" in applied.stdout
    assert (pool(yard)["draining"], pool(yard)["depth"]) == ([old], TASKS)
    ids += submit_notes(yard, notes, 20)
    # of which the worker takes two in its hands: it consumes both.
    until(lambda: pool(yard)["depth"], satisfied=lambda depth: depth == TASKS + 18)
    explained = yard.http.post("/v1/routes/explain", json={"type": "quick.note"}).json()
    assert explained["queue"] == new
    # and once the worker has its hands free, all is done and the old queue goes
    release(gates)
    drained = topology(settings, "apply", "--wait", "60s")
    assert drained.returncode == 0, drained.stdout
    assert f"- queue {old} (replaced by {new})" in drained.stdout
    assert not exists(yard, old)
    for task_id in [*waiting, *ids]:
        task = yard.wait(task_id)
        assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert set(Counter(notes.read_text().splitlines()).values()) == {1}
    assert len(notes.read_text().splitlines()) == len(ids)
    assert topology(settings, "plan").returncode == 0
    assert pool(yard)["draining"] == []
    assert yard.run("quick.echo", {"value": 1})["result"] == 1
    assert yard.processes("worker", "quick") == workers


def test_a_queue_goes_from_under_a_task_that_runs(
    yard: Gateway, settings: Json, gates: list[Path]
) -> None:
    """Its wake-up can be acknowledged no more; the task ends all the same, and once.

    The worker's listening connection was cut before: it comes back and finds what it missed.
    """
    # Given two tasks that run, nothing else in the queue, and a worker that listens anew
    change_queue_type(settings, "classic")
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    old, workers = pool(yard)["queue"], yard.processes("worker", "quick")
    waiting = occupy(yard, gates)
    with psycopg.connect(settings["TASKYARD_DATABASE_URL"], autocommit=True) as connection:
        cut = connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'taskyard queue watch quick'"
            " AND datname = current_database()"
        ).fetchone()
    assert cut == (1,)
    # When the queue is replaced
    change_queue_type(settings, "quorum")
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    # Then it is gone at once, and nobody minds
    assert not exists(yard, old)
    release(gates)
    for task_id in waiting:
        task = yard.wait(task_id)
        assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert yard.run("quick.echo", {"value": 1})["result"] == 1
    assert yard.processes("worker", "quick") == workers
    assert "connection to broker lost" not in yard.log.read_text().lower()


def test_a_worker_that_starts_while_a_queue_is_drained_consumes_both(
    yard: Gateway, settings: Json, gates: list[Path], tmp_path: Path
) -> None:
    """It asks the ledger which queues its pool has."""
    # Given a queue that is replaced and full, and a worker that goes
    notes = tmp_path / "notes"
    change_queue_type(settings, "classic")
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    before = yard.processes("worker", "quick")
    waiting = occupy(yard, gates)
    ids = submit_notes(yard, notes, 20)
    until(lambda: pool(yard)["depth"], satisfied=lambda depth: depth == 20)
    change_queue_type(settings, "quorum")
    applied = topology(settings, "apply")
    assert "but 20 messages" in applied.stdout
    min(before, key=lambda process: process.create_time()).terminate()
    until(lambda: pool(yard)["consumers"], satisfied=lambda consumers: consumers == 0)
    # When it has ended what it had, and another one comes
    release(gates)
    for task_id in [*waiting, *ids]:
        # Then that one finds what is left
        task = yard.wait(task_id)
        assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert not set(yard.processes("worker", "quick")) & set(before)
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    assert sorted(Counter(notes.read_text().splitlines()).values()) == [1] * 20


def test_a_pool_of_threads_moves_as_well(yard: Gateway, settings: Json) -> None:
    """It follows in the same worker."""
    worker = yard.run("calm.add", {"a": 1, "b": 2})["worker"]
    old = pool(yard, "calm")["queue"]
    change_queue_type(settings, "quorum", pool="calm")
    assert topology(settings, "apply", "--wait", "30s").returncode == 0
    until(lambda: pool(yard, "calm")["consumers"])
    task = yard.run("calm.add", {"a": 3, "b": 4})
    assert (task["result"], task["attempt"], task["worker"]) == (7, 1, worker)
    assert pool(yard, "calm")["queue"] == f"{old}.v2"
    assert not exists(yard, old)


def test_a_worker_survives_that_its_queue_is_removed_by_hand(
    yard: Gateway, settings: Json, gates: list[Path]
) -> None:
    """The tasks that run end, and what comes after the next apply runs in the same worker."""
    # Given a worker at work
    workers = yard.processes("worker", "quick")
    waiting = occupy(yard, gates)
    queue = pool(yard)["queue"]
    # When its queue is removed, and made again
    with connected(yard.ready["amqp_url"]) as broker:
        broker.channel().queue_delete(queue)
    until(lambda: queue in missing(yard))
    assert topology(settings, "apply").returncode == 0
    # Then all goes on
    until(lambda: pool(yard)["consumers"])
    release(gates)
    for task_id in waiting:
        task = yard.wait(task_id)
        assert (task["state"], task["attempt"]) == ("succeeded", 1)
    assert yard.run("quick.echo", {"value": 1})["worker"] == task["worker"]
    assert yard.processes("worker", "quick") == workers


def missing(yard: Gateway) -> str:
    """Return the last line of the log that says that a queue is missing."""
    said = [line for line in yard.log.read_text().splitlines() if "queue is missing" in line]
    return said[-1] if said else ""
