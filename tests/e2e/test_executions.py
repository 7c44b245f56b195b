"""Processes, threads, coroutines: what one kind of pool promises, all promise."""

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.stack import Gateway

POOLS = ("processes", "threads", "asyncio")
CAN_BE_STOPPED = ("processes", "asyncio")  # threads cannot be interrupted


@pytest.fixture
def table(trio: Gateway) -> Iterator[str]:
    """A table of the user's own, in the same database."""
    name = f"effects_{uuid4().hex[:8]}"
    with psycopg.connect(trio.ready["database_url"], autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (task_id text)".encode())
        yield name
        connection.execute(f"DROP TABLE {name}".encode())


def rows(trio: Gateway, table: str) -> int:
    """How many effects are there to see."""
    with psycopg.connect(trio.ready["database_url"]) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


pools = pytest.mark.parametrize("pool", POOLS)
stoppable = pytest.mark.parametrize("pool", CAN_BE_STOPPED)


@pools
def test_a_task_runs_and_its_history_is_gapless(trio: Gateway, pool: str) -> None:
    """Arguments in, result out."""
    task = trio.run(f"{pool}.echo", {"value": {"x": [1, None, "ü"]}})
    assert (task["state"], task["result"]) == ("succeeded", {"x": [1, None, "ü"]})
    events = trio.events(task["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["state"] for event in events][-2:] == ["running", "succeeded"]


@pools
@pytest.mark.parametrize("name", ["second", "celery_retry"])
def test_a_retry_is_durable_in_every_spelling(trio: Gateway, pool: str, name: str) -> None:
    """Ours, and Celery's self.retry()."""
    task = trio.run(f"{pool}.{name}")
    assert (task["state"], task["result"], task["attempt"]) == ("succeeded", 2, 2)


@pools
def test_an_error_is_retried_and_then_kept(trio: Gateway, pool: str) -> None:
    """With its message and traceback."""
    task = trio.run(f"{pool}.fail", {"message": "boom"})
    assert (task["state"], task["attempt"], task["error_count"]) == ("failed", 2, 2)
    assert task["error"]["message"] == "ValueError: boom"
    assert "in fail" in task["error"]["traceback"]


@pools
def test_a_permanent_error_is_the_last(trio: Gateway, pool: str) -> None:
    """Whether the task or the routing table says so."""
    for name, args in (("fail", {"permanent": True}), ("divide", {})):
        task = trio.run(f"{pool}.{name}", args)
        assert (task["state"], task["attempt"]) == ("failed", 1)
        assert task["error"]["code"] == "permanent-error"


@pools
@pytest.mark.parametrize("kind", ["object", "nul", "large"])
def test_a_result_that_cannot_be_stored_fails_the_task(trio: Gateway, pool: str, kind: str) -> None:
    """With a code of its own, not a lost result."""
    task = trio.run(f"{pool}.odd_result", {"kind": kind})
    assert (task["state"], task["error"]["code"]) == ("failed", "invalid-result")


@pools
def test_everybody_agrees_which_task_runs(trio: Gateway, pool: str) -> None:
    """`current`, `self.request` and `current_task`, in each of many that take turns."""
    many = 300 if pool == "asyncio" else 20
    ids = [each["id"] for each in trio.batch([{"type": f"{pool}.who"}] * many)]
    for task in trio.ended(ids):
        task_id = task["id"]
        assert task["result"] == [task_id, task_id, task_id, f"{pool}.who"]


@pools
def test_sys_exit_is_a_crash_and_the_worker_goes_on(trio: Gateway, pool: str) -> None:
    """Counted as the crashes of processes are."""
    task = trio.run(f"{pool}.exit")
    assert (task["state"], task["crash_count"]) == ("quarantined", 3)
    assert trio.run(f"{pool}.echo", {"value": 1})["result"] == 1


@pools
def test_a_task_that_runs_out_of_memory_fails_alone(trio: Gateway, pool: str) -> None:
    """Celery would stop the whole worker for it."""
    worker = trio.run(f"{pool}.echo")["worker"]
    assert trio.run(f"{pool}.hungry")["error"]["code"] == "task-error"
    assert trio.run(f"{pool}.echo")["worker"] == worker


@pools
def test_a_cancelled_task_hears_of_it_at_its_next_progress(
    trio: Gateway, pool: str, tmp_path: Path
) -> None:
    """It may clean up, and ends as cancelled."""
    path = tmp_path / "seen"
    task_id = trio.submit(f"{pool}.obey", {"path": str(path)})["id"]
    trio.wait(task_id, "running")
    assert trio.http.post(f"/v1/tasks/{task_id}/cancel").json()["receipt"] == "interrupted"
    task = trio.wait(task_id)
    assert (task["state"], task["reason"]) == ("cancelled", "cancelled by the caller")
    assert path.read_text() == "the task was cancelled True"


@stoppable
def test_a_stuck_task_is_ended_by_its_timeout(trio: Gateway, pool: str) -> None:
    """The soft limit ends it; its code says so."""
    task = trio.run(f"{pool}.stuck")
    assert (task["state"], task["error"]["code"]) == ("failed", "timed-out")
    assert (task["error_count"], task["crash_count"]) == (1, 0)


@stoppable
def test_a_running_task_is_stopped_at_its_deadline(trio: Gateway, pool: str) -> None:
    """Whatever attempts are left, it is the last."""
    task = trio.run(f"{pool}.nap", {"seconds": 60}, deadline="700ms")
    assert (task["state"], task["error"]["code"]) == ("failed", "deadline-exceeded")
    assert task["attempt"] == 1


@stoppable
@pytest.mark.slow
def test_a_task_that_ignores_its_time_limit_is_given_up(trio: Gateway, pool: str) -> None:
    """Five seconds later; that is an error of the task, no crash, and its worker goes on."""
    task = trio.run(f"{pool}.stubborn")
    assert (task["state"], task["error"]["code"]) == ("failed", "timed-out")
    assert (task["error_count"], task["crash_count"]) == (1, 0)
    assert trio.run(f"{pool}.echo", {"value": 1})["result"] == 1


@stoppable
def test_a_cancelled_task_that_does_not_hear_is_ended(trio: Gateway, pool: str) -> None:
    """After the grace of its type; it counts as no crash, and its worker lives on."""
    task_id = trio.submit(f"{pool}.deaf")["id"]
    worker = trio.wait(task_id, "running")["worker"]
    trio.http.post(f"/v1/tasks/{task_id}/cancel")
    task = trio.wait(task_id)
    assert (task["state"], task["crash_count"]) == ("cancelled", 0)
    assert trio.run(f"{pool}.echo")["worker"] == worker


@pools
@pytest.mark.parametrize(("end", "attempts"), [("well", 1), ("error", 2)])
def test_an_effect_is_there_once_with_the_result(
    trio: Gateway, table: str, pool: str, end: str, attempts: int
) -> None:
    """However the first attempt ended, what it wrote is gone with it."""
    task = trio.run(f"{pool}.write", {"table": table, "end": end})
    assert (task["state"], task["result"]) == ("succeeded", attempts), task["error"]
    assert rows(trio, table) == 1


@pools
def test_an_effect_of_a_task_that_fails_is_never_seen(trio: Gateway, table: str, pool: str) -> None:
    """Nor when it is the storing of the result that fails."""
    task = trio.run(f"{pool}.write_badly", {"table": table})
    assert (task["state"], task["error"]["code"]) == ("failed", "invalid-result")
    assert rows(trio, table) == 0


@pools
def test_a_step_is_done_once_over_all_attempts(trio: Gateway, pool: str) -> None:
    """The second attempt reads what the first one kept; the effect key stays the same."""
    task = trio.run(f"{pool}.steps")
    first = next(e for e in trio.events(task["id"]) if e["state"] == "retrying")
    assert task["result"]["drawn"] == first["error"]["message"]
    assert task["result"]["key"] == f"{task['id']}:charge"


@pools
def test_what_a_task_says_is_kept_in_order(trio: Gateway, pool: str) -> None:
    """Every line, and the latest progress."""
    task = trio.run(f"{pool}.talk", {"lines": 12})
    said = trio.http.get(f"/v1/tasks/{task['id']}/log").json()["items"]
    assert [line["text"] for line in said] == [
        "begun", *(f"line {n}" for n in range(12)), "last words",
    ]  # fmt: skip
    assert task["progress"] == {"fraction": 0.9, "message": "done soon"}


@pools
def test_a_budget_is_kept(trio: Gateway, pool: str, tmp_path: Path) -> None:
    """Of a resource for two, two are used at once, and never three."""
    path = tmp_path / "passage"
    ids = [trio.submit(f"{pool}.pass", {"path": str(path), "seconds": 0.1})["id"] for _ in range(6)]
    assert {trio.wait(each)["state"] for each in ids} == {"succeeded"}
    moves = sorted(line.split()[:2] for line in path.read_text().splitlines())
    at_once = accumulate({"in": 1, "out": -1}[what] for _, what in moves)
    assert max(at_once) == 2


@pools
@pytest.mark.slow
def test_a_stopping_worker_lets_short_tasks_end_and_gives_back_the_rest(
    trio: Gateway, pool: str
) -> None:
    """What is given back counts as no crash, and another worker takes it at once."""
    with trio.worker(pool) as more:
        ids = {trio.submit(f"{pool}.nap", {"seconds": s})["id"] for s in (1, 1, 1, 1)}
        for each in ids:
            trio.wait(each, "running", "succeeded")
        more.terminate()
        assert more.wait(20) == 0
    assert {trio.wait(each)["result"] for each in ids} == {1}
