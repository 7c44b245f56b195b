"""Server-sent events: what tasks do and say, as it happens, to who follows one or all of them."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api import sse
from taskyard.api.parts import Parts
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import TaskId
from taskyard.services import readers
from taskyard.storage import attempts, task_logs
from taskyard.storage.pool import connect_sync
from taskyard.storage.task_logs import SaidLine
from tests.application import client_of, open_parts

Connection = psycopg.AsyncConnection[Any]
Json = dict[str, Any]
CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend'"
)
CANCEL = "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = %s"


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    async with open_parts(database_url) as opened:
        yield opened


@pytest.fixture
def http(parts: Parts) -> HttpClient:
    return client_of(parts)


async def submit(http: HttpClient, task_type: str = "a.b", **more: Any) -> str:
    response = await http.post("/v1/tasks", json={"type": task_type, **more})
    return str((await response.get_json())["id"])


class Events:
    """A stream that is read: its events, and the comments between them."""

    def __init__(self, request: Any) -> None:
        self._request = request
        self._text = ""
        self.last_id = ""
        self.comments = 0

    async def next(self, kind: str = "") -> Json:
        """Return the next event, of one kind if it is named."""
        while True:
            async with asyncio.timeout(10):
                while "\n\n" not in self._text:
                    self._text += (await self._request.receive()).decode()
            block, self._text = self._text.split("\n\n", 1)
            fields = dict(line.partition(": ")[::2] for line in block.splitlines())
            self.last_id = fields.get("id", self.last_id)
            self.comments += "" in fields
            if "event" in fields and kind in ("", fields["event"]):
                return {"kind": fields["event"], **json.loads(fields["data"])}

    async def rest(self) -> str:
        """Return what comes until the stream ends."""
        async with asyncio.timeout(10):
            while True:
                try:
                    self._text += (await self._request.receive()).decode()
                except asyncio.QueueEmpty:
                    return self._text

    async def hang_up(self) -> None:
        await self._request.disconnect()


@asynccontextmanager
async def stream(http: HttpClient, path: str, after: str = "") -> AsyncIterator[Events]:
    """Follow a stream, and hang up at the end."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    async with http.request(path, headers=headers) as request:
        await request.send_complete()
        yield Events(request)
        await request.disconnect()


async def until_readers(parts: Parts, count: int) -> None:
    async with asyncio.timeout(10):
        while len(parts.stream) + len(parts.watch) != count:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


async def test_all_changes_are_streamed_in_order(http: HttpClient, connection: Connection) -> None:
    """Each with its position, from the moment the stream begins."""
    await submit(http)
    async with stream(http, "/v1/stream") as events:
        await events._request.receive()
        task = await submit(http, labels={"team": "web"})
        await connection.execute(CANCEL, (task,))
        found = [await events.next("change"), await events.next("change")]
    assert [each["state"] for each in found] == ["pending", "cancelled"]
    assert {each["task"] for each in found} == {task}
    assert (found[0]["type"], found[0]["pool"], found[0]["labels"]) == ("a.b", "p", {"team": "web"})
    assert found[0]["position"] < found[1]["position"]
    assert events.last_id == str(found[1]["position"])


async def test_a_stream_goes_on_where_it_broke_off_in_another_process(
    http: HttpClient, database_url: str
) -> None:
    """Every change once, however far behind: more than one page, while more come."""
    tasks = [await submit(http)]
    async with stream(http, "/v1/stream", after="0") as events:
        first = await events.next("change")
    for _ in range(60):
        batch = {"tasks": [{"type": "a.b"}] * 20}
        found = await (await http.post("/v1/tasks/batch", json=batch)).get_json()
        tasks += [item["id"] for item in found["items"]]
    async with open_parts(database_url) as other:
        again = client_of(other)
        async with stream(again, "/v1/stream", after=events.last_id) as events:
            seen = [first["task"]]
            while len(seen) < len(tasks):
                seen.append((await events.next("change"))["task"])
                if len(seen) == 700:
                    tasks.append(await submit(again))
    assert sorted(seen) == sorted(tasks)
    assert len(set(seen)) == len(seen)


async def test_a_thousand_streams_cost_no_thread_and_no_connection_each(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """And each hears of a change."""
    await submit(http)
    threads = threading.active_count()
    async with AsyncExitStack() as stack:
        found = [await stack.enter_async_context(stream(http, "/v1/stream")) for _ in range(1_000)]
        await until_readers(parts, 1_000)
        assert threading.active_count() < threads + 10
        assert (await (await connection.execute(CONNECTIONS)).fetchone() or (99,))[0] <= 6
        task = await submit(http)
        assert {(await each.next("change"))["task"] for each in found} == {task}


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("type=a.b", {"1", "2"}),
        ("type=a.*&state=cancelled", {"1 cancelled"}),
        ("type=a.c&type=a.b&state=pending", {"1", "2", "3"}),
        ("label=n:1&label=k:v", {"1", "1 cancelled"}),
        ("pool=other", set()),
        ("state=cancelled&state=pending&pool=p", {"1", "2", "3", "1 cancelled"}),
    ],
)
async def test_filters_choose_among_changes(
    http: HttpClient, connection: Connection, query: str, wanted: set[str]
) -> None:
    """Any of each kind, all of the labels."""
    if query == "type=a.b":
        wanted = wanted | {"1 cancelled"}
    one = await submit(http, labels={"n": "1", "k": "v"})
    await submit(http, labels={"n": "2"})
    await submit(http, "a.c", labels={"n": "3"})
    await connection.execute(CANCEL, (one,))
    last = await submit(http, labels={"n": "last", "k": "v"})
    seen = set()
    async with stream(http, f"/v1/stream?{query}", after="0") as events:
        text = ""
        async with asyncio.timeout(10):
            while f"id: {5}\n" not in text:
                text += (await events._request.receive()).decode()
    for line in text.splitlines():
        if line.startswith("data: ") and (change := json.loads(line[6:]))["task"] != last:
            ended = " cancelled" * (change["state"] == "cancelled")
            seen.add(change["labels"]["n"] + ended)
    assert seen == wanted


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("state=lost", "?state"), ("label=x", "?label"), ("type=a..b", "?type"), ("x=1", "?x")],
)
async def test_a_filter_that_makes_no_sense_is_refused(
    http: HttpClient, query: str, pointer: str
) -> None:
    """422, before anything is streamed."""
    response = await http.get(f"/v1/stream?{query}")
    assert response.status_code == 422
    assert (await response.get_json())["errors"][0]["pointer"] == pointer


@pytest.mark.parametrize("path", ["/v1/stream", "task"])
@pytest.mark.parametrize("after", ["x", "-1", "1.2.3", "٣", "1" * 30])
async def test_an_id_that_no_stream_gave_is_refused(
    http: HttpClient, path: str, after: str
) -> None:
    """422, pointing at the header."""
    path = f"/v1/tasks/{await submit(http)}/events" if path == "task" else path
    headers = {"Accept": "text/event-stream", "Last-Event-ID": after}
    response = await http.get(path, headers=headers)
    assert response.status_code == 422
    assert (await response.get_json())["errors"][0]["pointer"] == "Last-Event-ID"


async def test_a_resume_older_than_what_is_kept_says_so(
    http: HttpClient, connection: Connection
) -> None:
    """An event says what is missing, then comes what is there."""
    await submit(http)
    task = await submit(http)
    await connection.execute("DELETE FROM task_events WHERE position = 1")
    async with stream(http, "/v1/stream", after="0") as events:
        gap, change = await events.next(), await events.next()
    assert (gap["kind"], change["kind"], change["task"]) == ("gap", "change", task)
    assert "not kept" in gap["reason"]


async def test_a_resume_from_another_history_says_so(http: HttpClient) -> None:
    """A position ahead of ours, as after a restore: it goes on with what comes."""
    await submit(http)
    async with stream(http, "/v1/stream", after="999999") as events:
        assert "ahead" in (await events.next("gap"))["reason"]
        task = await submit(http)
        assert (await events.next("change"))["task"] == task


async def test_silence_is_broken_by_heartbeats_that_move_on(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader whose filter lets nothing through still learns where it is."""
    monkeypatch.setattr(sse, "HEARTBEAT", 0.1)
    async with stream(http, "/v1/stream?type=a.c") as events:
        for _ in range(3):
            await submit(http)
        last = await submit(http, "a.c")
        await asyncio.sleep(0)
        assert (await events.next("change"))["task"] == last
        begun = events.comments
        async with asyncio.timeout(10):
            while events.comments < begun + 2:
                events._text += (await events._request.receive()).decode()
                events.comments += events._text.count(": still here\nid: 4\n\n")


async def test_a_slow_reader_is_dropped_with_the_reason(
    http: HttpClient, monkeypatch: pytest.MonkeyPatch, parts: Parts
) -> None:
    """And the others get everything."""
    monkeypatch.setattr(readers, "MOST_WAITING", 50)
    async with stream(http, "/v1/stream") as events:
        await until_readers(parts, 1)
        # In one statement, so in one round of the follower: more than may wait.
        await http.post("/v1/tasks/batch", json={"tasks": [{"type": "a.b"}] * 100})
        assert "too slow" in (await events.next("dropped"))["reason"]


async def test_who_hangs_up_leaves_nothing_behind(http: HttpClient, parts: Parts) -> None:
    """No reader, and after a moment nobody who reads for it."""
    task = await submit(http)
    async with stream(http, "/v1/stream"), stream(http, f"/v1/tasks/{task}/events"):
        await until_readers(parts, 2)
    await until_readers(parts, 0)
    async with asyncio.timeout(5):
        while parts.stream._following or parts.watch._looking:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_stopping_process_ends_its_streams(http: HttpClient, parts: Parts) -> None:
    """So that it can stop; who comes back finds another one."""
    task = await submit(http)
    headers = {"Accept": "text/event-stream"}
    async with (
        http.request("/v1/stream", headers=headers) as one,
        http.request(f"/v1/tasks/{task}/events", headers=headers) as other,
    ):
        await one.send_complete()
        await other.send_complete()
        await until_readers(parts, 2)
        parts.stream.let_go()
        parts.watch.let_go()
        await until_readers(parts, 0)


def claim(database_url: str, task_id: str) -> Lease:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        token = LeaseToken(uuid4())
        lease = attempts.claim(cursor, TaskId(UUID(task_id)), "a.b", "w", token)
    assert lease is not None
    return lease


def say(database_url: str, lease: Lease, *texts: str, progress: float | None = None) -> None:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        lines = [
            SaidLine(offset=n, age=0, text=t, fields='{"k": 1}') for n, t in enumerate(texts, 1)
        ]
        task_logs.keep(cursor, lease, lines)
        if progress is not None:
            attempts.report_progress(cursor, lease, {"fraction": progress, "message": "m"})


def finish(database_url: str, lease: Lease) -> None:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        assert attempts.finish(cursor, lease, "1")


async def test_one_task_is_followed_to_its_end(http: HttpClient, database_url: str) -> None:
    """Changes, progress and log as they come; then the stream ends, and is not to be had again."""
    task = await submit(http)
    path = f"/v1/tasks/{task}/events"
    async with stream(http, path) as events:
        assert (await events.next())["state"] == "pending"
        lease = await asyncio.to_thread(claim, database_url, task)
        assert (await events.next("change"))["state"] == "running"
        await asyncio.to_thread(say, database_url, lease, "one", progress=0.5)
        found = [await events.next(), await events.next()]
        assert [each["kind"] for each in found] == ["log", "progress"]
        assert (found[0]["text"], found[0]["fields"]) == ("one", {"k": 1})
        assert found[1]["fraction"] == 0.5
        await asyncio.to_thread(say, database_url, lease, "last")
        await asyncio.to_thread(finish, database_url, lease)
        assert (await events.next())["text"] == "last"
        end = await events.next()
        assert (end["state"], end["seq"]) == ("succeeded", 3)
    headers = {"Accept": "text/event-stream", "Last-Event-ID": events.last_id}
    assert events.last_id == "3.2"
    assert (await http.get(path, headers=headers)).status_code == 204
    log = await (await http.get(f"/v1/tasks/{task}/log")).get_json()
    assert [line["text"] for line in log["items"]] == ["one", "last"]


async def test_a_task_is_resumed_without_repeating(http: HttpClient, database_url: str) -> None:
    """Neither changes nor lines; and two readers at different places get what each lacks."""
    task = await submit(http)
    lease = await asyncio.to_thread(claim, database_url, task)
    await asyncio.to_thread(say, database_url, lease, "one", "two")
    path = f"/v1/tasks/{task}/events"
    async with stream(http, path) as events, stream(http, path, after="2.1") as later:
        begun = [await events.next() for _ in range(4)]
        assert [each["kind"] for each in begun] == ["change", "change", "log", "log"]
        assert (await later.next())["text"] == "two"
        await asyncio.to_thread(say, database_url, lease, "three")
        await asyncio.to_thread(finish, database_url, lease)
        for each in (events, later):
            assert (await each.next())["text"] == "three"
            assert (await each.next())["state"] == "succeeded"


async def test_the_log_keeps_the_newest_hundred_lines(http: HttpClient, database_url: str) -> None:
    """Their numbers go on, so what was dropped is seen; a stale lease adds nothing."""
    task = await submit(http)
    lease = await asyncio.to_thread(claim, database_url, task)
    for part in range(3):
        await asyncio.to_thread(say, database_url, lease, *(f"{part} {n}" for n in range(50)))
    await asyncio.to_thread(finish, database_url, lease)
    await asyncio.to_thread(say, database_url, lease, "stale")
    log = (await (await http.get(f"/v1/tasks/{task}/log")).get_json())["items"]
    assert [line["number"] for line in log] == list(range(51, 151))
    assert (log[0]["text"], log[-1]["text"]) == ("1 0", "2 49")


async def test_json_stays_the_default(http: HttpClient) -> None:
    """For who asks for anything, or for nothing in particular; a task that is not there is 404."""
    task = await submit(http)
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "application/json"}):
        response = await http.get(f"/v1/tasks/{task}/events", headers=headers)
        assert response.headers["Content-Type"] == "application/json"
    for path in ("events", "log"):
        headers = {"Accept": "text/event-stream"}
        response = await http.get(f"/v1/tasks/{uuid4()}/{path}", headers=headers)
        assert response.status_code == 404
