"""Stopping workers: what runs may end, the rest is given back, nothing is run twice for it."""

import threading
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.stack import Gateway, until


def test_a_stopping_worker_lets_short_tasks_end_and_gives_back_the_rest(
    yard: Gateway, tmp_path: Path
) -> None:
    """What is given back counts as no crash, and another worker takes it at once."""
    path = tmp_path / "pids"
    short = yard.submit("quick.nap", {"seconds": 1.5})["id"]
    endless = yard.submit("quick.deaf", {"path": str(path)})["id"]
    until(lambda: path.exists() and path.read_text().split())
    yard.wait(short, "running")
    names = {yard.get(each)["worker"] for each in (short, endless)}
    pids = {each.pid for each in yard.processes("worker", "quick")}
    [parent] = [p for p in yard.processes("worker", "quick") if p.ppid() not in pids]
    assert len(names) == 1
    parent.terminate()
    assert yard.wait(short)["result"] == 1
    task = until(lambda: yard.get(endless), within=30, satisfied=lambda t: t["attempt"] == 2)
    assert (task["state"], task["crash_count"], task["error_count"]) == ("running", 0, 0)
    reasons = [event["reason"] for event in yard.events(endless) if event["state"] == "retrying"]
    assert reasons == ["drained"]
    yard.http.post(f"/v1/tasks/{endless}/cancel")
    assert yard.wait(endless)["state"] == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("restarts", [3, pytest.param(20, marks=pytest.mark.faults)])
def test_rolling_restarts_under_load(yard: Gateway, restarts: int) -> None:
    """No request fails, and no task shorter than the drain needs a second attempt."""
    accepted: list[str] = []
    stopping = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=yard.url, timeout=20, headers=yard.headers) as http:
            while not stopping.wait(0.02):
                body = {"type": "quick.nap", "args": {"seconds": 0.05}}
                response = http.post("/v1/tasks", json=body)
                assert response.status_code == 202, response.text
                accepted.append(response.json()["id"])

    loading = threading.Thread(target=load)
    loading.start()
    try:
        with ExitStack() as stack:
            old = stack.enter_context(yard.worker("quick"))
            for _ in range(restarts):
                new = stack.enter_context(yard.worker("quick"))
                old.terminate()
                assert old.wait(30) == 0
                old = new
    finally:
        stopping.set()
        loading.join(30)
    tasks = [yard.wait(each, within=60) for each in accepted]
    assert len(tasks) > 50
    assert {(task["state"], task["result"], task["attempt"]) for task in tasks} == {
        ("succeeded", 1, 1)
    }
