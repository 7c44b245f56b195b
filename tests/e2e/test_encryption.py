"""A word that was entrusted to the gateway is in no file; the same search finds other words."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import amqp
import psycopg
import pytest

from taskyard.broker.cloudevents import lifecycle_exchange
from taskyard.broker.declare import connected
from taskyard.core.sealed import Place, parse_keys
from taskyard.storage.sealing import KeyRing
from tests.encryption import ENCRYPTION_KEYS, files_with, ring
from tests.stack import Gateway, until


@contextmanager
def listening(yard: Gateway, queue: str) -> Iterator[amqp.Channel]:
    """A durable queue that hears every change, as a service would have it."""
    with connected(yard.ready["amqp_url"]) as broker:
        channel = broker.channel()
        channel.confirm_select()
        channel.queue_declare(queue, durable=True, auto_delete=False)
        channel.queue_bind(queue, lifecycle_exchange(yard.env["TASKYARD_PREFIX"]), "task.#")
        try:
            yield channel
        finally:
            channel.queue_delete(queue)


def servers_folder(yard: Gateway) -> Path:
    """Where the private servers keep all they keep, logs too; after a checkpoint."""
    with psycopg.connect(yard.ready["database_url"], autocommit=True) as session:
        session.execute("CHECKPOINT")
        (data,) = session.execute("SHOW data_directory").fetchone() or ("",)
    return next(each for each in Path(data).parents if (each / "rabbitmq").is_dir())


def confide(yard: Gateway, word: str, label: str) -> None:
    """Use the gateway in every way that takes data, and read it back."""
    labels = {"seen": label}
    told = yard.run("quick.confide", {"word": word}, labels=labels)
    assert told["result"] == f"result {word}"
    assert told["args"] == {"word": word}
    (line, *_) = yard.http.get(f"/v1/tasks/{told['id']}/log").json()["items"]
    assert line["text"] == f"log {word}"
    attempts = yard.http.get(f"/v1/tasks/{told['id']}/attempts").json()["items"]
    assert attempts[0]["error"]["message"] == f"ValueError: error {word}"
    failed = yard.run("quick.fail", {"message": word, "permanent": True}, labels=labels)
    replay = {"args": {"message": f"again {word}", "permanent": True}}
    assert yard.http.post(f"/v1/tasks/{failed['id']}/replay", json=replay).status_code == 202
    yard.wait(failed["id"], "failed")
    event = {"specversion": "1.0", "id": uuid4().hex, "source": "/s", "type": "no.rule"}
    content_type = {"Content-Type": "application/cloudevents+json"}
    sent = yard.http.post("/v1/events", json={**event, "data": word}, headers=content_type)
    assert sent.status_code == 202, sent.text


def test_what_is_entrusted_is_in_no_file(yard: Gateway) -> None:
    """Not in Postgres' files, not in RabbitMQ's, not in a log: neither data nor errors."""
    word, label, message = (f"{kind}{uuid4().hex}" for kind in ("word", "label", "message"))
    queue = f"listening-{uuid4().hex}"
    with listening(yard, queue) as channel:
        # Given tasks, errors, progress, logs and events that hold a word, and who hears of them
        confide(yard, word, label)
        until(lambda: channel.queue_declare(queue, passive=True).message_count >= 9)
        published = amqp.Message(message, delivery_mode=2)
        channel.basic_publish_confirm(published, "", queue)
        # When all files are searched
        folder = servers_folder(yard)
        found = {part for path in files_with(folder, message) for part in path.parts}
        labelled = {part for path in files_with(folder, label) for part in path.parts}
        # Then the search finds what is kept plain, on both servers, and the word nowhere
        assert "rabbitmq" in found
        assert "rabbitmq" in labelled
        assert "pg_wal" in labelled
        assert files_with(folder, word) == []
    log = yard.log.read_text()
    assert "quick.fail" in log
    assert word not in log


@pytest.mark.parametrize("value", [{"$sealed": "1.e2e.AAAA"}, [1.5, None, "\u20ac"], "x" * 20_000])
def test_what_comes_back_is_what_was_sent(yard: Gateway, value: object) -> None:
    """Whatever its form or size; what is too large to be told is only read."""
    assert yard.run("quick.echo", {"value": value})["result"] == value


def seal_args(
    yard: Gateway, task_id: str, keys: KeyRing, *, place: Place | None = None, due: bool = True
) -> None:
    """Replace the arguments of a task that waits, and let it be due."""
    place = place or Place("default", UUID(task_id), "args")
    with psycopg.connect(yard.ready["database_url"], autocommit=True) as session:
        session.execute(
            "UPDATE tasks SET args = %s, due_at = CASE WHEN %s THEN now() ELSE due_at END"
            " WHERE id = %s",
            (keys.seal('{"value":"found"}', place), due, task_id),
        )
        session.execute("SELECT pg_notify('taskyard_dispatch', '')")


def test_a_missing_key_puts_a_task_off_and_nothing_else(yard: Gateway) -> None:
    """It is said which key; the worker goes on; with the key the task runs, its attempts unused."""
    # Given a task whose arguments were sealed with a key that nobody has any more
    task_id = yard.submit("quick.echo", {"value": 1}, delay="1h")["id"]
    seal_args(yard, task_id, ring("lost"))
    # When a worker claims it, then it is put off, and every answer names the key
    attempts = f"/v1/tasks/{task_id}/attempts"
    (tried,) = until(
        lambda: yard.http.get(attempts).json()["items"],
        satisfied=lambda items: len(items) == 1 and items[0]["outcome"] == "retrying",
    )
    assert tried["error"]["code"] == "encryption-key-missing"
    assert "'lost'" in tried["error"]["message"]
    answer = yard.http.get(f"/v1/tasks/{task_id}")
    assert (answer.status_code, answer.json()["code"]) == (503, "encryption-key-missing")
    assert "'lost'" in answer.json()["detail"]
    (listed, *_) = yard.http.get("/v1/tasks", params={"state": "retrying"}).json()["items"]
    assert (listed["id"], listed["error_count"]) == (task_id, 0)
    assert "'lost'" in listed["args"]["message"]
    # And the worker goes on
    assert yard.http.get(f"/v1/tasks/{task_id}/log").json() == {"items": []}
    assert yard.run("quick.echo", {"value": 2})["result"] == 2
    # When it is sealed with a key that the worker has, then it runs
    seal_args(yard, task_id, KeyRing(parse_keys(ENCRYPTION_KEYS)))
    assert yard.wait(task_id)["result"] == "found"


def test_arguments_of_another_task_are_not_run(yard: Gateway) -> None:
    """Who may write to the database cannot have a task run with what another was sent."""
    task_id = yard.submit("quick.echo", {"value": 1}, delay="1h")["id"]
    elsewhere = Place("default", uuid4(), "args")
    seal_args(yard, task_id, KeyRing(parse_keys(ENCRYPTION_KEYS)), place=elsewhere)
    listed = until(
        lambda: yard.http.get("/v1/dead-letters", params={"code": "seal-broken"}).json()["items"]
    )
    assert [each["id"] for each in listed] == [task_id]
    answer = yard.http.get(f"/v1/tasks/{task_id}")
    assert (answer.status_code, answer.json()["code"]) == (500, "seal-broken")
    # With other arguments it can be replayed.
    other = {"args": {"value": "mended"}}
    assert yard.http.post(f"/v1/tasks/{task_id}/replay", json=other).status_code == 202
    assert yard.wait(task_id)["result"] == "mended"


def test_who_waits_for_what_cannot_be_read_is_told_at_once(yard: Gateway) -> None:
    """A wait ends with the same error as a read, and others go on waiting."""
    task_id = yard.submit("quick.echo", {"value": 1}, delay="1h")["id"]
    with ThreadPoolExecutor(1) as waiting:
        asked = waiting.submit(yard.http.get, f"/v1/tasks/{task_id}", params={"wait": 20})
        until(lambda: _is_watched(yard, task_id))
        seal_args(yard, task_id, ring("lost"), due=False)
        assert yard.http.post(f"/v1/tasks/{task_id}/cancel").status_code == 200
        assert asked.result().status_code == 503
    assert yard.run("quick.echo", {"value": 3})["result"] == 3


def _is_watched(yard: Gateway, task_id: str) -> bool:
    with psycopg.connect(yard.ready["database_url"]) as session:
        row = session.execute("SELECT watched FROM tasks WHERE id = %s", (task_id,)).fetchone()
        return bool(row and row[0])
