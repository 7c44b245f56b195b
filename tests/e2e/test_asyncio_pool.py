"""What only a pool of coroutines does."""

from pathlib import Path

import pytest

from tests.stack import Gateway, until


def test_hundreds_run_at_once_in_one_thread(trio: Gateway) -> None:
    """Each waits for all the others: one that had to wait for its turn would keep them all."""
    accepted = trio.batch([{"type": "asyncio.gather", "args": {"many": 400}}] * 400)
    ended = trio.ended([each["id"] for each in accepted])
    assert {(task["state"], task["result"]) for task in ended} == {("succeeded", 1)}
    assert len({task["worker"] for task in ended}) == 1


def test_a_cancelled_coroutine_hears_of_it_where_it_waits(trio: Gateway, tmp_path: Path) -> None:
    """Without asking: it is raised through its task groups and timeouts, and it may clean up."""
    path = tmp_path / "seen"
    task_id = trio.submit("asyncio.silent", {"path": str(path)})["id"]
    until(path.exists)
    trio.http.post(f"/v1/tasks/{task_id}/cancel")
    assert trio.wait(task_id)["state"] == "cancelled"
    assert "the task was cancelled:" in path.read_text()


def test_a_plain_function_runs_in_a_thread(trio: Gateway) -> None:
    """It blocks no coroutine, and knows who it is."""
    task = trio.run("asyncio.plain")
    own, requested, thread = task["result"]
    assert own == requested == task["id"]
    assert thread.startswith("task")


def test_a_coroutine_that_cancels_itself_has_failed(trio: Gateway) -> None:
    """Nobody asked it to end, so there is no result; the next attempt may do better."""
    task = trio.run("asyncio.itself")
    assert (task["state"], task["attempt"], task["crash_count"]) == ("failed", 2, 0)
    assert "nobody asked" in task["error"]["message"]


def test_a_transaction_that_would_block_all_others_is_refused(trio: Gateway) -> None:
    """In words that say what to write."""
    assert "async with" in trio.run("asyncio.wrongly")["error"]["message"]


@pytest.mark.slow
def test_a_coroutine_that_holds_up_all_others_is_shown(trio: Gateway) -> None:
    """The log says where it is, no lease is lost, and all go on once it has ended."""
    beside = trio.submit("asyncio.nap", {"seconds": 0.5})["id"]
    trio.run("asyncio.hog", {"seconds": 8})
    task = trio.wait(beside)
    assert (task["state"], task["attempt"]) == ("succeeded", 1)
    log = trio.log.read_text()
    assert "a coroutine holds up all others" in log
    assert "time.sleep(seconds)" in log


@pytest.mark.slow
def test_what_outlasts_the_drain_is_given_back(trio: Gateway) -> None:
    """Where it waits, at once and without a crash: another worker has it when this one ends."""
    with trio.worker("asyncio") as more:
        ids = [trio.submit("asyncio.nap", {"seconds": 8})["id"] for _ in range(20)]
        workers = {each: trio.wait(each, "running")["worker"] for each in ids}
        assert len(set(workers.values())) == 2
        more.terminate()
        assert more.wait(20) == 0
    ended = [trio.wait(each, within=30) for each in ids]
    assert {task["state"] for task in ended} == {"succeeded"}
    again = [task for task in ended if task["result"] == 2]
    assert 0 < len(again) < 20
    assert {task["crash_count"] for task in again} == {0}
