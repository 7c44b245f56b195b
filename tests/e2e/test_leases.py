"""Leases: who is gone or was stopped too long has nothing to say any more."""

import contextlib
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.stack import Gateway, until


def parent_of(yard: Gateway, pool: str) -> psutil.Process:
    """The worker's main process: the one that another role's process did not fork."""
    found = yard.processes("worker", pool)
    pids = {each.pid for each in found}
    [parent] = [each for each in found if each.ppid() not in pids]
    return parent


def started(path: Path, times: int) -> Any:
    """Whether the task has begun so many attempts."""
    return path.exists() and len(path.read_text().splitlines()) == times


@pytest.mark.slow
def test_a_task_of_a_killed_worker_runs_again(yard: Gateway, tmp_path: Path) -> None:
    """Its children die with it; the lease runs out, and the reaper takes the task back."""
    path = tmp_path / "pids"
    task_id = yard.submit("quick.deaf", {"path": str(path)})["id"]
    until(lambda: started(path, 1))
    parent = parent_of(yard, "quick")
    children = parent.children()
    parent.kill()
    assert psutil.wait_procs(children, timeout=5)[1] == []
    until(lambda: started(path, 2), within=40)
    task = yard.get(task_id)
    assert (task["attempt"], task["crash_count"]) == (2, 1)
    assert task["worker"] != yard.events(task_id)[-2]["worker"] or task["state"] == "running"
    yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert yard.wait(task_id)["state"] == "cancelled"


@pytest.mark.slow
def test_the_late_result_of_a_stopped_worker_is_refused(yard: Gateway, tmp_path: Path) -> None:
    """It belongs to somebody else by then: the result is that of the second attempt."""
    yard.run("calm.add", {"a": 1, "b": 1})
    path = tmp_path / "pids"
    task_id = yard.submit("quick.slow_echo", {"path": str(path), "seconds": 1})["id"]
    until(lambda: started(path, 1))
    parent = parent_of(yard, "quick")
    stopped = [parent, *parent.children()]
    for each in stopped:
        each.send_signal(signal.SIGSTOP)
    try:
        task = until(
            lambda: yard.get(task_id), within=40, satisfied=lambda t: t["state"] != "running"
        )
        assert task["crash_count"] == 1
    finally:
        for each in stopped:
            with contextlib.suppress(psutil.NoSuchProcess):  # killed by its parent meanwhile
                each.send_signal(signal.SIGCONT)
    task = yard.wait(task_id, within=40)
    assert (task["state"], task["result"], task["attempt"]) == ("succeeded", 2, 2)
    states = [event["state"] for event in yard.events(task_id)]
    assert states.count("succeeded") == 1


@pytest.mark.slow
def test_a_long_task_keeps_its_lease(yard: Gateway) -> None:
    """Heartbeats extend it for as long as it runs."""
    task = yard.wait(yard.submit("quick.nap", {"seconds": 20})["id"], within=60)
    assert (task["state"], task["result"], task["crash_count"]) == ("succeeded", 1, 0)
