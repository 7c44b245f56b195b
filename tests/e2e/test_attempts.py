"""What ends an attempt before its time: crashes, cancels, deadlines."""

from pathlib import Path

import psycopg

from tests.stack import Gateway, until


def test_a_task_that_kills_its_process_is_quarantined(yard: Gateway) -> None:
    """After three crashes, counted apart from errors; each is in the history."""
    task = yard.run("quick.crash")
    assert (task["state"], task["reason"]) == ("quarantined", "worker-lost")
    assert (task["attempt"], task["crash_count"], task["error_count"]) == (3, 3, 0)
    states = [event["state"] for event in yard.events(task["id"])]
    assert states.count("running") == 3
    assert states.count("retrying") == 2
    assert yard.run("quick.echo", {"value": 1})["result"] == 1


def test_a_killed_child_is_noticed_at_once(yard: Gateway, tmp_path: Path) -> None:
    """Its task runs again long before its lease would have run out."""
    path = tmp_path / "pids"
    task_id = yard.submit("quick.deaf", {"path": str(path)})["id"]
    first = until(lambda: path.exists() and path.read_text().split())
    until(lambda: yard.get(task_id)["state"] == "running")
    [child] = [each for each in yard.processes("worker", "quick") if each.pid == int(first[0])]
    child.kill()
    until(lambda: len(path.read_text().splitlines()) == 2, within=10)
    yard.http.post(f"/v1/tasks/{task_id}/cancel")
    task = yard.wait(task_id, within=10)
    assert (task["attempt"], task["crash_count"]) == (2, 1)


def test_a_crash_is_told_over_a_new_connection(yard: Gateway) -> None:
    """The parent's may have been lost while nobody used it; then it is not left to the reaper."""
    yard.run("quick.crash")
    with psycopg.connect(yard.ready["database_url"]) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'taskyard worker quick@%'"
        ).fetchall()
    assert ended
    task = yard.run("quick.crash")
    told = [event["error"]["message"] for event in yard.events(task["id"]) if event["error"]]
    assert told == ["its worker process died"] * 3


def test_at_most_once_is_not_tried_again_after_a_crash(yard: Gateway, tmp_path: Path) -> None:
    """Nobody knows how far it came: it fails with that code."""
    path = tmp_path / "ledger"
    task = yard.run("quick.pay", {"path": str(path)})
    assert (task["state"], task["error"]["code"]) == ("failed", "outcome-unknown")
    assert path.read_text() == "paid\n"


def test_a_cancelled_task_hears_of_it_at_its_next_progress(yard: Gateway, tmp_path: Path) -> None:
    """It may clean up; a second cancel is too late."""
    path = tmp_path / "seen"
    task_id = yard.submit("quick.obey", {"path": str(path)})["id"]
    yard.wait(task_id, "running")
    receipt = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (receipt.status_code, receipt.json()["receipt"]) == (202, "interrupted")
    assert receipt.json()["task"]["cancel_requested_at"]
    task = yard.wait(task_id)
    assert (task["state"], task["reason"]) == ("cancelled", "cancelled by the caller")
    assert path.read_text() == "the task was cancelled True"
    late = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (late.status_code, late.json()["code"]) == (409, "too-late")


def test_a_cancelled_task_that_does_not_hear_is_killed(yard: Gateway, tmp_path: Path) -> None:
    """After the grace of its type; it counts as no crash, and its worker lives on."""
    path = tmp_path / "pids"
    task_id = yard.submit("quick.deaf", {"path": str(path)})["id"]
    child, parent, _ = until(lambda: path.exists() and path.read_text().split())
    worker = yard.wait(task_id, "running")["worker"]
    yard.http.post(f"/v1/tasks/{task_id}/cancel")
    task = yard.wait(task_id)
    assert (task["state"], task["crash_count"]) == ("cancelled", 0)
    until(lambda: int(child) not in [p.pid for p in yard.processes("worker", "quick")])
    assert int(parent) in [p.pid for p in yard.processes("worker", "quick")]
    assert yard.run("quick.echo")["worker"] == worker


def test_a_task_that_waits_for_another_attempt_can_be_prevented(yard: Gateway) -> None:
    """It has run, but it does not run again."""
    task_id = yard.submit("quick.later", {"seconds": 60})["id"]
    yard.wait(task_id, "retrying")
    response = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (response.status_code, response.json()["receipt"]) == (200, "prevented")
    assert (response.json()["task"]["state"], response.json()["task"]["attempt"]) == (
        "cancelled",
        1,
    )


def test_a_running_task_is_stopped_at_its_deadline(yard: Gateway, tmp_path: Path) -> None:
    """First by an exception in it; whatever attempts are left, it is the last."""
    path = tmp_path / "pids"
    task = yard.run("quick.deaf", {"path": str(path)}, deadline="700ms")
    assert (task["state"], task["error"]["code"]) == ("failed", "deadline-exceeded")
    assert task["attempt"] == 1


def test_a_waiting_task_expires_at_its_deadline(yard: Gateway) -> None:
    """A wait for another attempt does not outlast it."""
    task = yard.run("quick.later", {"seconds": 60}, deadline="1s")
    assert (task["state"], task["reason"]) == ("expired", "not done by its deadline")


def test_the_routing_table_names_permanent_errors(yard: Gateway) -> None:
    """Such an error is the last, in code that knows nothing of Taskyard."""
    task = yard.run("quick.divide")
    assert (task["state"], task["attempt"]) == ("failed", 1)
    assert task["error"]["code"] == "permanent-error"


def test_a_task_that_ignores_its_time_limit_is_killed(yard: Gateway) -> None:
    """Five seconds later; that is an error of the task, no crash."""
    task = yard.run("quick.stubborn")
    assert (task["state"], task["error"]["code"]) == ("failed", "timed-out")
    assert (task["error_count"], task["crash_count"]) == (1, 0)


def test_a_task_that_runs_out_of_memory_fails_alone(yard: Gateway) -> None:
    """Celery would stop the whole worker for it."""
    worker = yard.run("quick.echo")["worker"]
    task = yard.run("quick.hungry")
    assert (task["state"], task["error"]["code"]) == ("failed", "task-error")
    assert yard.run("quick.echo")["worker"] == worker


def test_sys_exit_is_a_crash(yard: Gateway) -> None:
    """The process may be gone, so it counts as that, and the worker goes on."""
    task = yard.run("quick.exit")
    assert (task["state"], task["crash_count"]) == ("quarantined", 3)
    assert yard.run("quick.echo", {"value": 1})["result"] == 1
