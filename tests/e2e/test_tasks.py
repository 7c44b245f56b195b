"""What a REST client sees, over HTTP, with real workers behind."""

import os
import re
import threading
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.stack import Gateway, until


def test_a_task_runs_in_its_pool_and_its_result_is_read_back(yard: Gateway) -> None:
    """One call runs the task; reading it gives result, times and a gapless history."""
    accepted = yard.submit("quick.echo", {"value": {"x": [1, None, "ü"]}}, labels={"team": "web"})
    assert {"id", "type", "pool", "priority", "state", "created_at", "links"} <= accepted.keys()
    task = yard.wait(accepted["id"])
    assert (task["state"], task["celery_state"]) == ("succeeded", "SUCCESS")
    assert task["result"] == {"x": [1, None, "ü"]}
    assert task["attempt"] == 1
    assert task["labels"] == {"team": "web"}
    times = [task[name] for name in ("created_at", "started_at", "finished_at")]
    assert times == sorted(times)
    events = yard.events(task["id"])
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    states = [event["state"] for event in events if event["state"] != "queued"]
    assert states == ["pending", "running", "succeeded"]


def test_each_type_goes_to_its_own_pool(yard: Gateway) -> None:
    """Threads and processes, each by its own worker."""
    quick, calm = yard.run("quick.echo"), yard.run("calm.add", {"a": 2, "b": 3})
    assert calm["result"] == 5
    assert (quick["pool"], calm["pool"]) == ("quick", "calm")
    assert quick["worker"].split("@")[0] == "quick"
    assert calm["worker"].split("@")[0] == "calm"


def test_location_leads_to_the_task(yard: Gateway) -> None:
    """The header of a 202 is the address of the task."""
    response = yard.http.post("/v1/tasks", json={"type": "quick.echo"})
    assert yard.http.get(response.headers["Location"]).json()["id"] == response.json()["id"]


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"type": "quick.echo", "args": [1]}, 422, "invalid-request", "/args"),
        ({"type": "quick.echo", "priority": 10}, 422, "invalid-request", "/priority"),
        ({"type": "quick.echo", "delay": "soon"}, 422, "invalid-request", "/delay"),
        ({"type": "quick.echo", "more": 1}, 422, "invalid-request", "/more"),
        ({"type": "quick.echo", "run_at": "2026-01-01T00:00:00"}, 422, "invalid-request",
         "/run_at"),
        ({"type": "quick.echo", "delay": "2s", "expires_in": "1s"}, 422, "invalid-request",
         "/expires_in"),
        ({"type": "quick.echo", "labels": {"a b": "c"}}, 422, "invalid-request", "/labels"),
        ({"args": {}}, 422, "invalid-request", "/type"),
        ({"type": "calm.add", "args": {"a": "x", "b": 1}}, 422, "invalid-arguments", "/args/a"),
        ({"type": "calm.add", "args": {"a": 1}}, 422, "invalid-arguments", "/args"),
        ({"type": "nobody.knows"}, 404, "unknown-task-type", None),
        ({"type": "quick.small", "args": {"value": "x" * 100}}, 413, "payload-too-large", None),
    ],
)  # fmt: skip
def test_a_bad_submission_is_refused_in_words(
    yard: Gateway, body: Any, status: int, code: str, pointer: str | None
) -> None:
    """A problem document names field, problem and code."""
    # Arguments are held against what workers announced, which the API hears a moment later.
    until(
        lambda: yard.http.get("/v1/task-types/calm.add").json(),
        satisfied=lambda found: found.get("announced_at") is not None,
    )
    response = yard.http.post("/v1/tasks", json=body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert response.headers["Content-Type"] == "application/problem+json"
    assert [error["pointer"] for error in problem.get("errors", [])] == [pointer] * (
        pointer is not None
    )
    assert yard.http.get(problem["type"]).status_code == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400), (b"{", 400), (b"\xef\xbb\xbf{}", 400), (b'{"type": "\xff"}', 400),
        (b'{"type":"quick.echo","args":{"value":NaN}}', 422),
        (b'{"type":"quick.echo","type":"quick.echo"}', 422),
        (b'{"type":"quick.echo","args":{"value":"\\u0000"}}', 422),
        (b'{"type":"quick.echo","args":{"value":"\\ud800"}}', 422),
        (b'{"type":"quick.echo","args":{"value":' + b"[" * 40 + b"]" * 40 + b"}}", 422),
        (b"[" * 100_000, 422),
        (b'{"type":"quick.echo","args":{"value":' + b"9" * 5000 + b"}}", 422),
    ],
)  # fmt: skip
def test_a_hostile_body_is_a_clean_refusal(yard: Gateway, content: bytes, status: int) -> None:
    """Never 500."""
    headers = {"Content-Type": "application/json"}
    response = yard.http.post("/v1/tasks", content=content, headers=headers)
    assert response.status_code == status, response.text


def test_framework_errors_are_problems_too(yard: Gateway) -> None:
    """404, 405 and 415 have the same form as ours."""
    for response, status in (
        (yard.http.get("/nope"), 404),
        (yard.http.delete("/v1/tasks"), 405),
        (yard.http.post("/v1/tasks", content=b"{}"), 415),
        (yard.http.get(f"/v1/tasks/{uuid4()}"), 404),
        (yard.http.get("/v1/tasks/none"), 404),
    ):
        assert response.status_code == status
        assert response.headers["Content-Type"] == "application/problem+json"
        assert response.json()["status"] == status


def test_a_batch_has_an_outcome_for_each_item_in_order(yard: Gateway) -> None:
    """Good ones run, bad ones say why, as JSON or NDJSON."""
    good, bad = {"type": "quick.echo", "args": {"value": 1}}, {"type": "nobody.knows"}
    answer = yard.http.post("/v1/tasks/batch", json={"tasks": [good, bad, good]}).json()
    assert (answer["accepted"], answer["rejected"]) == (2, 1)
    assert answer["items"][1]["error"]["code"] == "unknown-task-type"
    assert yard.wait(answer["items"][2]["id"])["result"] == 1
    lines = b'{"type":"quick.echo"}\n{nope\n'
    headers = {"Content-Type": "application/x-ndjson"}
    answer = yard.http.post("/v1/tasks/batch", content=lines, headers=headers).json()
    assert (answer["accepted"], answer["rejected"]) == (1, 1)
    assert answer["items"][1]["error"]["code"] == "malformed-body"


def test_a_batch_of_ten_thousand_is_accepted_and_runs(yard: Gateway) -> None:
    """The largest batch there may be; one more is refused whole."""
    label = uuid4().hex
    task = {"type": "quick.echo", "labels": {"batch": label}, "priority": 0}
    answer = yard.http.post("/v1/tasks/batch", json={"tasks": [task] * 10_000}).json()
    assert answer["accepted"] == 10_000
    ids = [item["id"] for item in answer["items"]]
    assert len(set(ids)) == 10_000
    # An urgent task does not wait for them.
    assert yard.run("quick.echo", {"value": "now"}, priority=9)["result"] == "now"
    assert yard.get(ids[-1])["state"] in ("pending", "queued")
    too_many = yard.http.post("/v1/tasks/batch", json={"tasks": [task] * 10_001})
    assert too_many.status_code == 413
    ends = [yard.wait(ids[n], within=90)["state"] for n in (0, 5_000, -1)]
    assert ends == ["succeeded"] * 3


def test_a_list_is_filtered_and_paged(yard: Gateway) -> None:
    """Every task once, newest first, over as many pages as it takes."""
    label = uuid4().hex
    ids = [yard.submit("calm.add", {"a": n, "b": 1}, labels={"run": label})["id"] for n in range(7)]
    found, cursor = [], None
    while True:
        params = {"label": f"run:{label}", "limit": 3} | ({"cursor": cursor} if cursor else {})
        page = yard.http.get("/v1/tasks", params=params).json()
        found += [task["id"] for task in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert found == ids[::-1]
    none = yard.http.get("/v1/tasks", params={"label": f"run:{label}", "type": "quick.echo"})
    assert none.json()["items"] == []
    bad = yard.http.get("/v1/tasks", params={"limit": 0, "state": "x", "cursor": "?", "more": 1})
    pointers = {error["pointer"] for error in bad.json()["errors"]}
    assert pointers == {"?limit", "?state", "?cursor", "?more"}


def test_a_delayed_task_starts_when_it_is_due_and_not_before(yard: Gateway) -> None:
    """By delay, on the database's clock."""
    accepted = yard.submit("quick.echo", delay="700ms")
    assert accepted["state"] == "scheduled"
    task = yard.wait(accepted["id"])
    due, started = (datetime.fromisoformat(task[name]) for name in ("due_at", "started_at"))
    assert due <= started
    states = [event["state"] for event in yard.events(task["id"])]
    assert states[:2] == ["scheduled", "pending"]


def test_a_scheduled_task_can_be_cancelled_once(yard: Gateway) -> None:
    """200, and after that 409; it never runs."""
    task_id = yard.submit("quick.echo", run_at="2099-01-01T00:00:00Z")["id"]
    response = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (response.status_code, response.json()["receipt"]) == (200, "prevented")
    assert response.json()["task"]["state"] == "cancelled"
    again = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "too-late")
    assert yard.http.post(f"/v1/tasks/{uuid4()}/cancel").status_code == 404
    assert yard.get(task_id)["celery_state"] == "REVOKED"


def test_a_running_task_shows_progress_and_may_end_though_it_was_cancelled(
    yard: Gateway, tmp_path: Path
) -> None:
    """202 while it runs; the first committed end wins."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task_id = yard.submit("quick.wait", {"path": str(fifo)})["id"]
    task = until(lambda: yard.get(task_id), satisfied=lambda t: t["progress"] is not None)
    assert task["progress"] == {"fraction": 0.5, "message": "waiting"}
    response = yard.http.post(f"/v1/tasks/{task_id}/cancel")
    assert (response.status_code, response.json()["receipt"]) == (202, "interrupted")
    fifo.write_text("done")
    assert yard.wait(task_id)["result"] == "done"


def test_the_last_progress_counts_however_closely_it_follows(yard: Gateway) -> None:
    """It is written with the end of the attempt."""
    task = yard.run("quick.hurry")
    assert (task["state"], task["progress"]) == (
        "succeeded", {"fraction": 1.0, "message": "step 3"},
    )  # fmt: skip


def test_the_last_progress_is_seen_while_the_task_is_silent(yard: Gateway, tmp_path: Path) -> None:
    """Nothing more need be said for it to be written."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task_id = yard.submit("quick.hurry", {"path": str(fifo)})["id"]
    until(
        lambda: yard.get(task_id)["progress"],
        satisfied=lambda progress: progress == {"fraction": 1.0, "message": "step 3"},
    )
    assert yard.get(task_id)["state"] == "running"
    fifo.write_text("")
    assert yard.wait(task_id)["state"] == "succeeded"


def test_what_has_not_started_in_time_expires(yard: Gateway) -> None:
    """A task of a pool that is busy expires where it waits."""
    accepted = yard.submit("quick.echo", delay="1s", expires_in="1100ms")
    task = yard.wait(accepted["id"])
    assert task["state"] in ("expired", "succeeded")
    if task["state"] == "succeeded":
        assert task["started_at"] <= task["expires_at"]


def test_an_error_is_retried_and_then_kept(yard: Gateway) -> None:
    """Attempts as the routing table says; the error has code, message and traceback."""
    task = yard.run("quick.fail", {"message": "boom"})
    assert (task["state"], task["attempt"]) == ("failed", 2)
    assert task["error"]["code"] == "task-error"
    assert "boom" in task["error"]["message"]
    assert "Traceback" in task["error"]["traceback"]
    assert "retrying" in [event["state"] for event in yard.events(task["id"])]


def test_a_permanent_error_is_not_retried(yard: Gateway) -> None:
    """One attempt."""
    task = yard.run("quick.fail", {"permanent": True})
    assert (task["state"], task["attempt"], task["error"]["code"]) == (
        "failed",
        1,
        "permanent-error",
    )


@pytest.mark.parametrize("name", ["quick.second", "quick.celery_retry", "quick.autoretry"])
def test_a_retry_is_durable_in_every_spelling(yard: Gateway, name: str) -> None:
    """Ours, Celery's self.retry() and autoretry_for."""
    task = yard.run(name)
    assert (task["state"], task["result"], task["attempt"]) == ("succeeded", 2, 2)


@pytest.mark.parametrize("kind", ["object", "nul", "large"])
def test_a_result_that_cannot_be_stored_fails_the_task(yard: Gateway, kind: str) -> None:
    """With a code of its own, not a lost result."""
    task = yard.run("quick.odd_result", {"kind": kind})
    assert (task["state"], task["error"]["code"]) == ("failed", "invalid-result")


def test_a_stuck_task_is_ended_by_its_timeout(yard: Gateway) -> None:
    """The soft limit ends it; its code says so."""
    task = yard.run("quick.stuck")
    assert (task["state"], task["error"]["code"]) == ("failed", "timed-out")


def test_concurrent_submissions_each_get_their_own_task(yard: Gateway) -> None:
    """Group commit mixes nothing up."""
    results: dict[int, Any] = {}

    def one(n: int) -> None:
        results[n] = yard.run("calm.add", {"a": n, "b": 1000})["result"]

    threads = [threading.Thread(target=one, args=(n,)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: n + 1000 for n in range(40)}


def test_the_yard_tells_what_there_is(yard: Gateway) -> None:
    """Task types with schema, pools with consumers, routes with a reason, probes, documents."""
    types = {each["type"]: each for each in yard.http.get("/v1/task-types").json()["items"]}
    assert types["calm.add"]["schema"]["required"] == ["a", "b"]
    assert types["quick.stuck"]["defaults"]["timeout"] == "500ms"
    one = yard.http.get("/v1/task-types/calm.add").json()
    assert one == types["calm.add"]
    pools = {each["name"]: each for each in yard.http.get("/v1/pools").json()["items"]}
    assert {name: pool["consumers"] for name, pool in pools.items()} == {"quick": 1, "calm": 1}
    assert yard.http.get("/v1/pools/none").json()["code"] == "pool-not-found"
    why = yard.http.post("/v1/routes/explain", json={"type": "quick.a.b"}).json()
    assert (why["pool"], why["pattern"], why["announced"]) == ("quick", "quick.#", False)
    assert yard.http.get("/livez").status_code == 200
    assert yard.http.get("/readyz").json()["checks"] == {"database": "ok", "broker": "ok"}
    assert yard.http.get("/openapi.json").json()["openapi"] == "3.1.0"
    page = yard.http.get("/docs")
    assert page.status_code == 200
    assert not re.search(
        r"""(src|href|url\()\s*=?\s*["']?(https?:)?//""", page.text
    )  # works offline
