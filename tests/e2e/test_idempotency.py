"""Submitting again, as clients do whose reply was lost on the way."""

import json
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from uuid import uuid4

import httpx
import pytest

from taskyard.client import Client, TaskyardProblem, Unreachable
from tests.stack import Gateway, Json, environment, gateway

UNKNOWN = {"code": "outcome-unknown", "title": "The outcome is not known", "status": 503}


@dataclass
class LossyRelay:
    """Forwards every request; of the first replies some are cut off, others replaced by a 503."""

    api: httpx.Client
    faults: deque[str]
    url: str = ""
    repeats: list[str | None] = field(default_factory=list)


@contextmanager
def lossy_relay(api_url: str, *faults: str) -> Iterator[LossyRelay]:
    """Stand between a client and the API; the API has always answered before a fault strikes."""
    with httpx.Client(base_url=api_url, timeout=30) as api:
        relay = LossyRelay(api, deque(faults))

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                names = ("Content-Type", "Idempotency-Key", "Authorization")
                headers = {name: self.headers[name] for name in names if name in self.headers}
                reply = relay.api.post(self.path, content=body, headers=headers)
                assert reply.status_code == 202, reply.text
                relay.repeats.append(reply.headers.get("Idempotency-Replayed"))
                fault = relay.faults.popleft() if relay.faults else None
                if fault != "cut":
                    self.send_response(503 if fault else 202)
                    self.end_headers()
                    self.wfile.write(json.dumps(UNKNOWN).encode() if fault else reply.content)

            def log_message(self, *args: object) -> None:
                """Say nothing on stderr."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            relay.url = f"http://127.0.0.1:{server.server_port}"
            thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield relay
            finally:
                server.shutdown()
                thread.join()


def test_a_repeat_gets_the_same_bytes_after_the_task_has_ended(yard: Gateway) -> None:
    """Status, body and Location are those of the first; one header says that it is a repeat."""
    key, body = str(uuid4()), {"type": "calm.add", "args": {"a": 1, "b": 2}}
    headers = {"Idempotency-Key": f'"{key}"'}
    first = yard.http.post("/v1/tasks", json=body, headers=headers)
    assert (first.status_code, "Idempotency-Replayed" in first.headers) == (202, False)
    assert yard.wait(first.json()["id"])["result"] == 3
    again = yard.http.post("/v1/tasks", json=body, headers=headers)
    assert (again.status_code, again.content) == (202, first.content)
    assert again.headers["Location"] == first.headers["Location"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert yard.get(first.json()["id"])["attempt"] == 1
    reused = yard.http.post("/v1/tasks", json={**body, "priority": 9}, headers=headers)
    assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
    assert yard.http.get(reused.json()["type"]).status_code == 200


def test_the_client_outlives_lost_replies_and_submits_once(yard: Gateway) -> None:
    """Cut off or unknown: it sends the same again under the same key, which it made itself."""
    label = uuid4().hex
    with (
        lossy_relay(yard.ready["api_url"], "cut", "503") as relay,
        Client(relay.url, key=yard.key) as client,
    ):
        task = client.submit("quick.echo", {"value": 1}, labels={"run": label})
        batch = client.submit_batch([{"type": "quick.echo", "labels": {"run": label}}] * 3)
    assert relay.repeats == [None, "true", "true", None]
    found = yard.http.get("/v1/tasks", params={"label": f"run:{label}"}).json()["items"]
    accepted = {task.id, *(item.id for item in batch.items)}
    assert {each["id"] for each in found} == accepted
    assert len(found) == 4


def test_the_client_gives_up_when_its_patience_ends(yard: Gateway) -> None:
    """And says what the last one met; with the same key the caller may go on."""
    key = f'"{uuid4()}" \\'  # quotes and a backslash are a key as well
    with (
        lossy_relay(yard.ready["api_url"], *["503"] * 999) as relay,
        Client(relay.url, key=yard.key, patience=0.5) as client,
    ):
        with pytest.raises(TaskyardProblem, match="not known"):
            client.submit("quick.echo", idempotency_key=key)
        relay.faults = deque(["cut"] * 999)
        with pytest.raises(Unreachable):
            client.submit("quick.echo", idempotency_key=key)
        relay.faults.clear()
        client.submit("quick.echo", idempotency_key=key)
    assert len(relay.repeats) > 4
    assert relay.repeats == [None, *["true"] * (len(relay.repeats) - 1)]


def test_the_command_line_takes_a_key(yard: Gateway) -> None:
    """The same command twice is one task."""
    command = [sys.executable, "-m", "taskyard", "tasks", "submit", "quick.echo", "--key", "a b"]
    env = environment(**yard.reach, NO_COLOR="1")
    printed = [
        subprocess.run(command, env=env, check=True, capture_output=True, timeout=60).stdout
        for _ in range(2)
    ]
    assert printed[0] == printed[1]
    assert yard.get(json.loads(printed[0])["id"])["type"] == "quick.echo"


@pytest.mark.slow
def test_two_api_processes_make_one_task_of_one_key(apart: Json) -> None:
    """Twenty keys, each sent eight times at once over connections of their own."""
    with gateway(TASKYARD_API_WORKERS="2", **apart) as yard:
        keys = [f"key-{n}" for n in range(20)] * 8

        def post(key: str) -> bytes:
            reply = yard.http.post(
                "/v1/tasks",
                json={"type": "quick.echo", "args": {"value": key}},
                headers={"Idempotency-Key": key, "Connection": "close"},
            )
            assert reply.status_code == 202, reply.text
            return reply.content

        with ThreadPoolExecutor(16) as senders:
            bodies = list(senders.map(post, keys))
        assert len(set(zip(keys, bodies, strict=True))) == len(set(bodies)) == 20
        found = yard.http.get("/v1/tasks", params={"limit": 500}).json()["items"]
        assert len(found) == 20
