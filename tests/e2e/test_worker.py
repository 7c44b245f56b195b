"""What a worker does with whatever arrives in its queue, and what Celery users see of it."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import amqp
import celery
import pytest
from celery.exceptions import TaskRevokedError

from taskyard.broker.declare import connected
from taskyard.broker.wakeup import BODY
from taskyard.worker.backend import TaskFailed
from tests.encryption import ENCRYPTION_KEYS
from tests.stack import Gateway, until

SOUND = {"content_type": "application/json", "content_encoding": "utf-8", "delivery_mode": 2}


@pytest.fixture
def app(yard: Gateway) -> Iterator[celery.Celery]:
    """Any Celery application that was given our result backend."""
    url = yard.ready["database_url"]
    stranger = celery.Celery("stranger", result_backend=f"taskyard+{url}", set_as_current=False)
    stranger.conf.taskyard_encryption_keys = ENCRYPTION_KEYS
    yield stranger
    stranger.backend.close()


def send(yard: Gateway, body: bytes, headers: dict[str, Any] | None, **properties: Any) -> None:
    """Put any message into the queue of pool quick, past the exchange."""
    queue = yard.http.get("/v1/pools/quick").json()["queue"]
    with connected(yard.ready["amqp_url"]) as broker:
        channel = broker.channel()
        channel.confirm_select()
        given = {**SOUND, **properties}
        if headers is not None:
            given["application_headers"] = headers
        channel.basic_publish_confirm(amqp.Message(body, **given), "", queue)


def drained(yard: Gateway) -> bool:
    pool = yard.http.get("/v1/pools/quick").json()
    return bool(pool["depth"] == 0 and pool["running"] == 0)


def test_async_result_works_from_any_celery_app(yard: Gateway, app: celery.Celery) -> None:
    """State and result, success and failure, as Celery shows them."""
    task_id = yard.submit("quick.echo", {"value": [1, 2]})["id"]
    assert app.AsyncResult(task_id).get(timeout=20) == [1, 2]
    assert app.AsyncResult(task_id).state == "SUCCESS"
    failed = app.AsyncResult(yard.submit("quick.fail", {"permanent": True})["id"])
    with pytest.raises(TaskFailed, match="permanent-error"):
        failed.get(timeout=20)
    assert failed.state == "FAILURE"
    later = yard.submit("quick.echo", delay="1h")["id"]
    assert app.AsyncResult(later).state == "PENDING"
    yard.http.post(f"/v1/tasks/{later}/cancel")
    assert app.AsyncResult(later).state == "REVOKED"
    with pytest.raises(TaskRevokedError):
        app.AsyncResult(later).get(timeout=20)
    assert app.AsyncResult(str(uuid4())).state == "PENDING"
    assert app.AsyncResult("no-uuid").state == "PENDING"


@pytest.mark.parametrize(
    ("body", "headers", "properties"),
    [
        (b"", None, {}),
        (b"junk", {}, {}),
        (b"\xff\xfe", {"task": "quick.echo", "id": str(uuid4())}, {}),
        (BODY, {"task": "quick.echo"}, {}),
        (BODY, {"id": str(uuid4())}, {}),
        (BODY, {"task": "quick.echo", "id": "x"}, {}),
        (b"[1]", {"task": "quick.echo", "id": str(uuid4())}, {}),
        (b"\x80\x04N.", {"task": "quick.echo", "id": str(uuid4())},
         {"content_type": "application/x-python-serialize", "content_encoding": "binary"}),
        (BODY, {"task": "quick.echo", "id": str(uuid4())}, {"content_type": ""}),
        (b'{"args": [], "kwargs": {}}', {}, {}),
        (BODY, {"task": "celery.backend_cleanup", "id": str(uuid4())}, {}),
        (BODY, {"task": "celery.map", "id": str(uuid4())}, {}),
        (BODY, {"task": "nobody.knows", "id": str(uuid4())}, {}),
        (BODY, {"task": "quick.echo", "id": str(uuid4()), "eta": "2099-01-01T00:00:00Z"}, {}),
        (BODY, {"task": "quick.echo", "id": str(uuid4()), "timelimit": "x", "group": 5}, {}),
    ],
)  # fmt: skip
def test_no_message_stops_a_worker(
    yard: Gateway, body: bytes, headers: dict[str, Any] | None, properties: dict[str, Any]
) -> None:
    """It is dead-lettered or dropped, and the next task runs in the same worker."""
    worker = yard.run("quick.echo")["worker"]
    send(yard, body, headers, **properties)
    assert yard.run("quick.echo", {"value": 1})["worker"] == worker
    until(lambda: drained(yard))


def test_a_forged_wake_up_starts_nothing_early(yard: Gateway) -> None:
    """It can at most wake a task that was due anyway, with the arguments it was submitted with."""
    task_id = yard.submit("quick.echo", {"value": "mine"}, delay="1h")["id"]
    forged = json.dumps([["theirs"], {"value": "theirs"}, {}]).encode()
    for body in (BODY, forged):
        send(yard, body, {"task": "quick.echo", "id": task_id, "retries": 5})
    assert yard.run("quick.echo")["state"] == "succeeded"
    until(lambda: drained(yard))
    assert yard.get(task_id)["state"] == "scheduled"
    yard.http.post(f"/v1/tasks/{task_id}/cancel")


def test_duplicate_wake_ups_run_a_task_once(yard: Gateway) -> None:
    """The second claim finds nothing to claim."""
    task = yard.run("quick.echo", {"value": 1})
    for _ in range(5):
        send(yard, BODY, {"task": "quick.echo", "id": task["id"]})
    until(lambda: drained(yard))
    assert yard.get(task["id"]) == task


def test_a_task_type_the_worker_does_not_know_waits_for_one_that_does(yard: Gateway) -> None:
    """While a new version is rolled out, its tasks go back instead of being lost."""
    task_id = yard.submit("quick.tomorrow")["id"]
    task = yard.wait(task_id, "scheduled")
    assert task["reason"] == "no worker knows this type"
    assert yard.http.post(f"/v1/tasks/{task_id}/cancel").status_code == 200


@pytest.mark.slow
def test_a_deaf_worker_notices_it_and_begins_anew(yard: Gateway) -> None:
    """Connected, without a consumer, work in its queue: it says so and restarts itself."""
    before = yard.run("calm.add", {"a": 1, "b": 1})["worker"]
    pids = {each.pid for each in yard.processes("worker", "calm")}
    assert yard.run("calm.deafen")["state"] == "succeeded"
    task = yard.wait(yard.submit("calm.add", {"a": 2, "b": 2})["id"], within=90)
    assert task["result"] == 4
    assert task["worker"] != before
    assert "worker is deaf" in yard.log.read_text()
    assert pids == {each.pid for each in yard.processes("worker", "calm")}
