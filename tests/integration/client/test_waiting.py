"""Waiting, batches and cancellation, over real connections to a server of the test's own."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from quart import Quart, Response, request

from taskyard.api.views import TaskView
from taskyard.client import AsyncClient, Timeout, dialogs
from tests.integration.client.conftest import Either, served

Json = dict[str, Any]


def task(state: str) -> Json:
    """Return a task in this state, with every field that the API sends."""
    times = {"created_at", "due_at"}
    numbers = {"priority", "attempt", "max_attempts", "generation", "error_count", "crash_count"}
    mappings = {"args", "labels", "links"}
    texts = {"id", "type", "pool", "celery_state"}
    found: Json = {f.name: None for f in msgspec.structs.fields(TaskView)}
    found |= dict.fromkeys(times, "2026-01-31T12:00:00Z") | dict.fromkeys(numbers, 1)
    found |= {name: {} for name in mappings} | dict.fromkeys(texts, "x")
    return found | {"id": "t1", "state": state, "result": 42 if state == "succeeded" else None}


@dataclass
class Scripted:
    """A server of one task, which ends when told; `waits` says whether it knows how to wait."""

    waits: bool = True
    end: asyncio.Event = field(default_factory=asyncio.Event)
    seen: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    agents: set[str | None] = field(default_factory=set)
    bodies: list[Json] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def asked(self, times: int) -> None:
        """Return once there were so many requests for the task."""
        async with self._heard, asyncio.timeout(10):
            await self._heard.wait_for(lambda: len(self.seen) >= times)

    async def _see(self, method: str, wait: str | None, key: str | None) -> None:
        async with self._heard:
            self.seen.append((method, wait, key))
            self._heard.notify_all()

    def app(self) -> Quart:
        app = Quart(__name__)

        @app.get("/v1/tasks/t1")
        async def get() -> Json:
            await self._see("get", request.args.get("wait"), None)
            self.agents.add(request.headers.get("User-Agent"))
            await self._hold(request.args.get("wait"))
            return task("succeeded" if self.end.is_set() else "running")

        @app.post("/v1/tasks")
        async def submit() -> tuple[Json, int]:
            preference = request.headers.get("Prefer", "")
            await self._see("post", preference, request.headers["Idempotency-Key"])
            await self._hold(preference.partition("=")[2])
            ended = self.waits and self.end.is_set()
            return (task("succeeded"), 200) if ended else (task("pending"), 202)

        @app.post("/v1/tasks/batch")
        async def batch() -> Response:
            self.keys.append(request.headers.get("Idempotency-Key"))
            self.bodies += (await request.get_json())["tasks"]
            items = [{"id": str(len(self.bodies))}] * len((await request.get_json())["tasks"])
            view = {"accepted": len(items), "rejected": 0, "items": items}
            return Response(msgspec.json.encode(view), 202, content_type="application/json")

        return app

    async def _hold(self, seconds: str | None) -> None:
        if self.waits and seconds:
            try:
                async with asyncio.timeout(float(seconds)):
                    await self.end.wait()
            except TimeoutError:
                pass


async def test_one_request_waits_until_the_task_ends(either: Either) -> None:
    """The server holds the answer: nobody polls."""
    server = Scripted()
    async with served(server.app()) as url:
        waiting = asyncio.create_task(either.call(url, "wait", "t1", within=45))
        await server.asked(1)
        assert not waiting.done()
        server.end.set()
        async with asyncio.timeout(10):
            assert (await waiting).result == 42
    [(_, wait, _)] = server.seen
    assert 40 <= int(wait or 0) <= 45
    [agent] = server.agents
    assert agent is not None
    assert agent.startswith("taskyard-client/")


async def test_no_request_waits_longer_than_the_server_allows(either: Either) -> None:
    """A minute at a time, whatever the caller has."""
    server = Scripted()
    server.end.set()
    async with served(server.app()) as url:
        await either.call(url, "wait", "t1", within=4000)
    assert server.seen == [("get", "60", None)]


async def test_a_server_that_does_not_wait_is_asked_again(either: Either) -> None:
    """Less and less often, not in a busy loop."""
    server = Scripted(waits=False)
    async with served(server.app()) as url, asyncio.timeout(20):
        waiting = asyncio.create_task(either.call(url, "wait", "t1", within=60))
        await server.asked(4)
        server.end.set()
        assert (await waiting).succeeded


@pytest.mark.parametrize("waits", [True, False])
async def test_a_wait_ends_in_time(either: Either, waits: bool) -> None:
    """With the task as it was seen last; it is a TimeoutError too."""
    server = Scripted(waits=waits)
    async with served(server.app()) as url:
        with pytest.raises(Timeout, match=r"still running after 1\.2 s") as raised:
            await either.call(url, "wait", "t1", within=1.2)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.task.id == "t1"
    assert len(server.seen) < 40


async def test_an_instant_task_takes_one_request(either: Either) -> None:
    """Prefer: wait asks the server to answer with the ended task (RFC 7240)."""
    server = Scripted()
    server.end.set()
    async with served(server.app()) as url:
        done = await either.call(url, "submit_and_wait", "a.b", within=20, idempotency_key="k")
    assert done.result == 42
    assert server.seen == [("post", "wait=20", '"k"')]


async def test_a_task_that_takes_longer_is_waited_for(either: Either) -> None:
    """After 202 the wait goes on under the task's id."""
    server = Scripted(waits=False)
    async with served(server.app()) as url, asyncio.timeout(20):
        waiting = asyncio.create_task(either.call(url, "submit_and_wait", "a.b"))
        await server.asked(3)
        server.end.set()
        assert (await waiting).result == 42
    assert [kind for kind, _, _ in server.seen].count("post") == 1


async def test_a_batch_of_any_size_goes_in_pieces(
    either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In order, each piece under a key of its own that a repeat of the whole would use again."""
    monkeypatch.setattr(dialogs, "MOST_ITEMS", 3)
    wishes = [{"type": "a.b", "args": {"n": n}, "priority": None} for n in range(7)]
    server = Scripted()
    async with served(server.app()) as url:
        whole = await either.call(url, "submit_batch", iter(wishes), idempotency_key="k")
        assert (whole.accepted, len(whole.items)) == (7, 7)
        each = await either.take(url, "submit_many", iter(wishes), idempotency_key="k")
        assert [item.id for item in each] == ["10"] * 3 + ["13"] * 3 + ["14"]
        assert (await either.call(url, "submit_batch", [])).items == ()
    assert [body["args"]["n"] for body in server.bodies] == [*range(7), *range(7)]
    assert "priority" not in server.bodies[0]
    assert server.keys == ['"k"', '"k.1"', '"k.2"'] * 2


async def test_large_items_make_smaller_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request stays below the size that a server takes; an async iterator will do as well."""
    monkeypatch.setattr(dialogs, "MOST_BYTES", 100)

    async def wishes() -> AsyncIterator[Json]:
        for size in (10, 10, 200, 10):
            yield {"type": "a.b", "args": {"text": "x" * size}}

    server = Scripted()
    async with served(server.app()) as url, AsyncClient(url) as client:
        assert (await client.submit_batch(wishes())).accepted == 4
    assert len(server.keys) == 3


async def test_what_is_yielded_is_submitted_before_more_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An endless source is never gathered whole."""
    monkeypatch.setattr(dialogs, "MOST_ITEMS", 2)
    asked = 0

    def endless() -> Iterator[Json]:
        nonlocal asked
        while True:
            asked += 1
            yield {"type": "a.b"}

    server = Scripted()
    async with served(server.app()) as url:
        assert len(await Either("sync").take(url, "submit_many", endless(), most=4)) == 4
    assert asked <= 6


async def test_a_cancelled_wait_lets_go_at_once() -> None:
    """And the client can go on with another request."""
    server = Scripted()
    async with served(server.app()) as url, AsyncClient(url) as client:
        waiting = asyncio.create_task(client.wait("t1", within=60))
        await server.asked(1)
        waiting.cancel()
        async with asyncio.timeout(10):
            with pytest.raises(asyncio.CancelledError):
                await waiting
        server.end.set()
        assert (await client.get("t1")).succeeded
