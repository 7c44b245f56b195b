"""Waiting and streams on a running gateway: real workers, real server, real connections."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import psycopg
import pytest

from tests.stack import Gateway, Json, gateway, until

STREAM = {"Accept": "text/event-stream"}


@contextmanager
def events(yard: Gateway, path: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    """Follow a stream: its events, each with its kind and id."""
    with yard.http.stream("GET", path, headers={**STREAM, **headers}) as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        yield parsed(response.iter_lines())


def parsed(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if line:
            fields[name] = value
        elif "event" in fields:
            yield {"kind": fields["event"], "id": fields.get("id"), **json.loads(fields["data"])}
            fields = {}


def test_a_submission_that_waits_gets_the_result(yard: Gateway) -> None:
    """In one request: 200 with the whole task."""
    for key in ("one", "one", "two"):
        headers = {"Prefer": "wait=30", "Idempotency-Key": key}
        body = {"type": "quick.echo", "args": {"value": 5}}
        response = yard.http.post("/v1/tasks", json=body, headers=headers)
        assert (response.status_code, response.json()["result"]) == (200, 5)
        assert response.headers["Preference-Applied"] == "wait=30"


def test_a_read_that_waits_is_answered_when_the_task_ends(yard: Gateway, tmp_path: Path) -> None:
    """Held while it runs."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = yard.submit("quick.wait", {"path": str(fifo)})["id"]
    found: list[Any] = []
    ask = threading.Thread(
        target=lambda: found.append(httpx.get(f"{yard.ready['api_url']}/v1/tasks/{task}?wait=30",
                                              timeout=40, headers=yard.headers).json())
    )  # fmt: skip
    ask.start()
    yard.wait(task, "running")
    assert not found
    fifo.write_text("done")
    ask.join(20)
    assert (found[0]["state"], found[0]["result"]) == ("succeeded", "done")


def test_what_a_task_does_and_says_is_streamed(yard: Gateway) -> None:
    """Progress and log from a real worker, then its end, in order."""
    task = yard.submit("quick.talk", {"lines": 5})["id"]
    with events(yard, f"/v1/tasks/{task}/events") as stream:
        found = list(stream)
    numbers = [each["seq"] for each in found if each["kind"] == "change"]
    assert numbers == list(range(1, len(yard.events(task)) + 1))
    assert [each["text"] for each in found if each["kind"] == "log"] == [
        "begun", *(f"line {n}" for n in range(5)), "last words",
    ]  # fmt: skip
    assert {"n": 3} in [each["fields"] for each in found if each["kind"] == "log"]
    assert [each for each in found if each["kind"] == "progress"][-1]["fraction"] == 0.5
    assert found[-1]["state"] == "succeeded"


def test_words_before_a_silence_are_seen(yard: Gateway, tmp_path: Path) -> None:
    """Though nothing is said after them, and the task goes on."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = yard.submit("quick.mutter", {"path": str(fifo)})["id"]
    said = until(
        lambda: [line["text"] for line in yard.http.get(f"/v1/tasks/{task}/log").json()["items"]],
        satisfied=lambda lines: len(lines) == 2,
    )
    assert said == ["one", "two"]
    assert yard.get(task)["state"] == "running"
    fifo.write_text("go on")
    assert yard.wait(task)["state"] == "succeeded"


def test_what_cannot_be_stored_is_said_all_the_same(yard: Gateway) -> None:
    """Odd text and odd fields fail no task; a flood is cut to its newest hundred lines."""
    task = yard.run("quick.babble")
    assert task["state"] == "succeeded"
    log = yard.http.get(f"/v1/tasks/{task['id']}/log").json()["items"]
    assert len(log) == 100
    assert [line["number"] for line in log][-1] == 5004
    assert log[-4]["text"] == "nul \ufffd"
    assert "unusable" in log[-3]["fields"]
    assert "unusable" in log[-2]["fields"]
    assert len(log[-1]["text"]) == 1000


@pytest.mark.slow
def test_a_reader_that_does_not_read_is_dropped(yard: Gateway) -> None:
    """With the reason, once it reads again; until then little is kept for it."""
    place = urlsplit(yard.ready["api_url"])
    assert place.port is not None
    api = [psutil.Process(each.pid) for each in yard.processes("api")]
    with socket.create_connection((place.hostname, place.port), timeout=30) as reader:
        shown = f"Authorization: Bearer {yard.key}"
        reader.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: x\r\n{shown}\r\n\r\n".encode())
        assert b"200 OK" in reader.recv(200)
        before = sum(each.memory_info().rss for each in api)
        labels = {f"label{n}": "x" * 256 for n in range(32)}
        order = {"type": "quick.echo", "delay": "1d", "labels": labels}
        for _ in range(3):
            found = yard.http.post("/v1/tasks/batch", json={"tasks": [order] * 1000}).json()
            assert found["accepted"] == 1000
        text = b""
        while b"event: dropped" not in text[-400:]:
            more = reader.recv(2**20)
            assert more, text[-500:]
            text += more
        assert b"too slow" in text[-400:]
        assert len(text) < 3000 * 8192
    assert sum(each.memory_info().rss for each in api) - before < 200 * 2**20


@pytest.mark.slow
def test_the_api_stops_at_once_though_many_wait_and_its_streams_go_on_after(apart: Json) -> None:
    """SIGTERM: who waits is answered, streams end, and resume in the next process."""
    with gateway(**apart) as yard:
        statuses: list[int] = []
        tasks = [yard.submit("quick.echo", delay="1h")["id"] for _ in range(20)]

        def wait(task: str) -> None:
            statuses.append(yard.http.get(f"/v1/tasks/{task}?wait=60", timeout=90).status_code)

        def watched() -> int:
            with psycopg.connect(yard.ready["database_url"]) as connection:
                row = connection.execute("SELECT count(*) FROM tasks WHERE watched").fetchone()
            return row[0] if row else 0

        waiting = [threading.Thread(target=wait, args=(task,)) for task in tasks]
        for thread in waiting:
            thread.start()
        until(lambda: watched() == 20)
        with events(yard, "/v1/stream", **{"Last-Event-ID": "0"}) as stream:
            last = [next(stream) for _ in tasks][-1]
            assert last["task"] == tasks[-1]
            parent = min(yard.processes("api"), key=lambda process: process.pid)
            began = time.monotonic()
            parent.terminate()
            assert list(stream) == []
            parent.wait(8)
            took = time.monotonic() - began
        for thread in waiting:
            thread.join(10)
        assert statuses == [200] * 20
        assert took < 8  # its server kills what has not ended after 10 s

        def back() -> bool:
            try:
                return yard.http.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        until(back)
        ran = yard.run("quick.echo")["id"]
        with events(yard, "/v1/stream", **{"Last-Event-ID": last["id"]}) as stream:
            assert [next(stream)["task"] for _ in range(4)] == [ran] * 4


def watch(yard: Gateway, *arguments: str) -> subprocess.Popen[str]:
    env = {**yard.env, **yard.reach}
    command = [sys.executable, "-m", "taskyard", "watch", *arguments]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)


def test_a_task_is_watched_on_the_command_line(yard: Gateway) -> None:
    """States and log as lines; the exit code tells whether it succeeded."""
    process = watch(yard, yard.submit("quick.talk", {"lines": 2})["id"])
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    for text in ("running", "begun", "line 1  n=1", "last words", "succeeded"):
        assert text in shown
    failed = watch(yard, yard.submit("quick.fail", {"message": "no", "permanent": True})["id"])
    shown, _ = failed.communicate(timeout=30)
    assert failed.returncode == 1
    assert "failed" in shown
