"""Webhooks as a user has them: over HTTP, with a dispatcher and real workers behind."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
from standardwebhooks import Webhook as Verifier

from tests.stack import Gateway, until

Heard = list[tuple[dict[str, str], bytes]]


@contextmanager
def endpoint() -> Iterator[tuple[str, Heard]]:
    """An endpoint of the standard library, on a port of loopback."""
    heard: Heard = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            heard.append((dict(self.headers.items()), body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/hook", heard
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def heard(yard: Gateway) -> Iterator[tuple[dict[str, Any], Heard]]:
    """A webhook that hears of every end of quick.echo."""
    with endpoint() as (url, found):
        body = {"url": url, "events": ["task.quick.echo.succeeded"]}
        response = yard.http.post("/v1/webhooks", json=body)
        assert response.status_code == 201, response.text
        yield response.json(), found
        yard.http.delete(response.json()["links"]["self"])


def test_a_result_arrives(yard: Gateway, heard: tuple[dict[str, Any], Heard]) -> None:
    """Signed, with what the worker returned, and the log says so."""
    made, found = heard
    task = yard.run("quick.echo", {"value": {"answer": 42}})
    until(lambda: found)
    headers, body = found[0]
    told = Verifier(made["secret"]).verify(body, headers)
    assert told["data"]["result"] == {"answer": 42}
    assert (told["data"]["id"], told["data"]["attempt"]) == (task["id"], 1)
    [entry] = until(
        lambda: yard.http.get(made["links"]["deliveries"]).json()["items"],
        satisfied=lambda items: [each["state"] for each in items] == ["delivered"],
    )
    assert (entry["response_status"], entry["task"]) == (204, task["id"])


def test_a_replay_arrives_again(yard: Gateway, heard: tuple[dict[str, Any], Heard]) -> None:
    """With the same webhook-id and body, and a new timestamp under the signature."""
    made, found = heard
    yard.run("quick.echo", {"value": 1})
    until(lambda: found)
    [entry] = yard.http.get(made["links"]["deliveries"]).json()["items"]
    assert yard.http.post(entry["links"]["replay"]).status_code == 202
    until(lambda: len(found) == 2)
    (first, body), (second, again) = found
    assert body == again
    assert first["webhook-id"] == second["webhook-id"] == entry["id"]
    Verifier(made["secret"]).verify(again, second)


def test_a_webhook_is_tried_out(yard: Gateway, heard: tuple[dict[str, Any], Heard]) -> None:
    """Signed like any other, as often as one likes; a disabled one is not sent anything."""
    made, found = heard
    address = made["links"]["self"]
    logged = [yard.http.post(f"{address}/test").headers["Location"] for _ in range(2)]
    until(lambda: len(found) == 2)
    for headers, body in found:
        told = Verifier(made["secret"]).verify(body, headers)
        assert (told["type"], told["data"]) == ("webhook.test", {})
    entries = until(
        lambda: [yard.http.get(location).json() for location in logged],
        satisfied=lambda entries: {entry["state"] for entry in entries} == {"delivered"},
    )
    assert {entry["id"] for entry in entries} == {headers["webhook-id"] for headers, _ in found}
    assert [(each["task"], each["response_status"]) for each in entries] == [(None, 204)] * 2
    yard.http.patch(address, json={"disabled": True})
    assert yard.http.post(f"{address}/test").status_code == 409
