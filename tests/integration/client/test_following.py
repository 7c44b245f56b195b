"""Streams: taken up again where they broke off, ended with their task, let go when nobody reads."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import pytest
from quart import Quart, Response, request

from taskyard.client import (
    AsyncClient,
    Change,
    Client,
    Gap,
    Progress,
    TaskChange,
    TaskyardProblem,
    Unreachable,
)
from tests.integration.client.conftest import Either, served

HANG = "hang"  # keep the connection open and say nothing


KNOWN = {"at": "2026-01-31T12:00:00Z", "generation": 1, "attempt": 1, "worker": None}
KNOWN |= {"reason": None, "error": None, "detail": None}
OF_ALL = {"task": "t", "type": "a.b", "pool": "a", "labels": {}}


def change(number: int, state: str, **more: Any) -> str:
    data = json.dumps({"seq": number, "state": state, **KNOWN, **more})
    return f"event: change\nid: {number}\ndata: {data}\n\n"


def of_all(position: int, state: str) -> str:
    return change(position, state, position=position, **OF_ALL)


@dataclass
class Scripted:
    """A server whose every connection says what is written for it, then closes."""

    connections: deque[list[str] | tuple[int, str]]
    resumed: list[str | None] = field(default_factory=list)
    queries: list[dict[str, Any]] = field(default_factory=list)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> Quart:
        app = Quart(__name__)

        async def say(script: list[str]) -> AsyncIterator[bytes]:
            try:
                for part in script:
                    if part == HANG:
                        await asyncio.Event().wait()
                    yield part.encode()
            finally:
                self.let_go.set()

        async def stream(task: str = "") -> Response:
            assert request.headers["Accept"] == "text/event-stream"
            self.resumed.append(request.headers.get("Last-Event-ID"))
            self.queries.append(request.args.to_dict(flat=False))
            script = self.connections.popleft()
            if isinstance(script, tuple):
                return Response(script[1], script[0], content_type="application/json")
            response = Response(say(script), content_type="text/event-stream; charset=utf-8")
            response.timeout = None
            return response

        app.get("/v1/tasks/<task>/events")(stream)
        app.get("/v1/stream")(stream)
        return app


QUICK = "retry: 10\n\n"


async def test_a_stream_goes_on_where_it_broke_off(either: Either) -> None:
    """Also within an event, and while the server starts again: each change once, in order."""
    server = Scripted(
        deque(
            [
                [
                    "retry: 10\nid: 0\n\n",
                    change(1, "queued"),
                    'event: progress\ndata: {"fraction": 0.5, "message": "m"}\n\n',
                ],
                [": heartbeat\n\n", change(2, "running"), 'id: 3\nevent: change\ndata: {"se'],
                (503, '{"code": "storage-unavailable"}'),
                [change(3, "retrying"), change(4, "running")],
                [change(5, "succeeded")],
            ]
        )
    )
    async with served(server.app()) as url:
        news = await either.take(url, "watch", "t1")
    assert [each.id for each in news] == ["1", "1", "2", "3", "4", "5"]
    assert news.pop(1).data == Progress(fraction=0.5, message="m")
    assert [(each.data.seq, type(each.data)) for each in news] == [(n, Change) for n in range(1, 6)]
    assert server.resumed == [None, "1", "2", "2", "4"]


async def test_a_stream_ends_with_its_task_even_if_the_server_holds_on(either: Either) -> None:
    """A heartbeat after the end says that nothing is to follow."""
    server = Scripted(deque([[change(1, "failed"), ": heartbeat\n\n", HANG]]))
    async with served(server.app()) as url, asyncio.timeout(10):
        assert len(await either.take(url, "watch", "t1", after="0")) == 1
        await server.let_go.wait()
    assert server.resumed == ["0"]


async def test_who_knows_all_of_an_ended_task_is_told_nothing(either: Either) -> None:
    """204: there is no more, so the client does not come back."""
    server = Scripted(deque([(204, "")]))
    async with served(server.app()) as url:
        assert await either.take(url, "watch", "t1", after="5") == []
    assert server.resumed == ["5"]


async def test_who_reads_too_slowly_goes_on_where_it_was(either: Either) -> None:
    """Being dropped is the client's business, a gap the reader's, what is unknown nobody's."""
    unknown = "event: weather\nid: 8\ndata: fair\n\n"
    dropped = 'event: dropped\ndata: {"reason": "too slow"}\n\n'
    gap = 'event: gap\ndata: {"reason": "not kept"}\n\n'
    first = [QUICK, of_all(7, "running"), unknown, dropped]
    server = Scripted(deque([first, [gap, of_all(9, "failed"), HANG]]))
    async with served(server.app()) as url:
        news = await either.take(url, "stream", most=3)
    assert [type(each.data) for each in news] == [TaskChange, Gap, TaskChange]
    assert server.resumed == [None, "8"]


async def test_a_replayed_task_is_watched_to_its_last_end(either: Either) -> None:
    """An end that is followed by more was none."""
    script = [QUICK + change(1, "failed") + change(2, "pending"), change(3, "succeeded")]
    server = Scripted(deque([script]))
    async with served(server.app()) as url:
        assert len(await either.take(url, "watch", "t1")) == 3


async def test_the_stream_of_all_tasks_does_not_end_with_one(either: Either) -> None:
    """It goes on until its reader goes; a heartbeat tells how far the rest has been read."""
    first = [QUICK, of_all(7, "succeeded"), ": still here\nid: 12\n\n"]
    server = Scripted(deque([first, [of_all(13, "failed"), HANG]]))
    async with served(server.app()) as url, asyncio.timeout(10):
        news = await either.take(url, "stream", type="a.*", label=["k:1", "k:2"], most=2)
        assert [(each.id, each.data.position) for each in news] == [("7", 7), ("13", 13)]
        await server.let_go.wait()
    assert server.resumed == [None, "12"]
    assert server.queries[1] == {"type": ["a.*"], "label": ["k:1", "k:2"]}


async def test_a_refused_stream_says_why(either: Either) -> None:
    """As any other request; a server without streams is told from one with them."""
    server = Scripted(deque([(404, '{"code": "task-not-found"}'), (200, '{"items": []}')]))
    async with served(server.app()) as url:
        for code in ("task-not-found", "unintelligible"):
            with pytest.raises(TaskyardProblem) as refused:
                await either.take(url, "watch", "t1")
            assert refused.value.code == code


async def test_what_is_no_document_is_refused(either: Either) -> None:
    """Not passed on as if it were news."""
    server = Scripted(deque([["event: change\ndata: nonsense\n\n"]]))
    async with served(server.app()) as url:
        with pytest.raises(TaskyardProblem, match="no event stream"):
            await either.take(url, "watch", "t1")


async def test_patience_ends_when_the_server_stays_away(either: Either) -> None:
    """Counted from the first trouble."""
    async with served(Scripted(deque()).app()) as url:
        pass
    with pytest.raises(Unreachable, match="does not answer"):
        await either.take(url, "watch", "t1", patience=0.3)


async def test_a_cancelled_watcher_closes_its_connection() -> None:
    """So that the server need not find out."""
    server = Scripted(deque([[change(1, "running"), HANG]]))
    heard = asyncio.Event()
    async with served(server.app()) as url, AsyncClient(url) as client, asyncio.timeout(10):

        async def watch() -> None:
            async for _ in client.watch("t1"):
                heard.set()

        watching = asyncio.create_task(watch())
        await heard.wait()
        watching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await watching
        await server.let_go.wait()


async def test_who_leaves_a_stream_closes_its_connection() -> None:
    """While the client goes on with other things."""
    server = Scripted(deque([[of_all(1, "running"), HANG], [of_all(2, "running"), HANG]]))
    async with served(server.app()) as url, AsyncClient(url) as client, asyncio.timeout(10):
        async with aclosing(client.stream()) as stream:
            assert (await anext(stream)).id == "1"
        await server.let_go.wait()
        server.let_go.clear()
        with Client(url) as other:
            news = other.stream()
            assert (await asyncio.to_thread(next, news)).id == "2"
            await asyncio.to_thread(news.close)
            await server.let_go.wait()
