"""What replays and events make is held to the tenant's quotas and to the backlog's bound."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.limits import Rate
from taskyard.core.quotas import Quota
from taskyard.core.routing import RoutingTable
from taskyard.services.cloudevents import BATCH
from taskyard.services.usage import count_usage
from taskyard.storage import windows
from taskyard.storage.pool import open_pool
from tests.application import TABLE, client_of, open_parts
from tests.events import THUMBNAILS, event, rows, table
from tests.own import entry_of
from tests.submissions import count

Connection = psycopg.AsyncConnection[Any]
Json = dict[str, Any]

FAILED = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   error, finished_at)
SELECT gen_random_uuid(), 'a.b', 'p', %(priority)s, 'failed', 3, now(), now(), '{}',
       '{"code": "KeyError", "message": "no"}', now()
FROM generate_series(1, %(count)s)"""
ENDED = "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'pending'"
PENDING = "SELECT count(*) FROM tasks WHERE state = 'pending'"
EVERYTHING = "SELECT (SELECT count(*) FROM inbox_events) + (SELECT count(*) FROM tasks)"
MAIL = {"name": "mails", "match": "upload.#", "task": "mail.send"}


@asynccontextmanager
async def bounded(
    database_url: str,
    quota: Quota | None = None,
    largest: int = 1_000,
    routing: RoutingTable = TABLE,
) -> AsyncIterator[HttpClient]:
    """A client of an API process with these bounds."""
    routing = replace(routing, quota=quota or Quota())
    async with open_parts(database_url, routing) as parts:
        entry = entry_of(parts.pool, quota=quota, largest=largest)
        yield client_of(replace(parts, entry=entry))


async def dead(connection: Connection, count: int, *, priority: int = 4) -> list[str]:
    await connection.execute(FAILED, {"count": count, "priority": priority})
    return await rows(connection, "SELECT id::text FROM tasks WHERE state = 'failed' ORDER BY id")


async def replay_all(client: HttpClient, **wish: Any) -> Any:
    return await client.post("/v1/dead-letters/replay", json={"all": True, **wish})


async def counted(database_url: str, quota: Quota) -> None:
    async with open_pool(database_url, name="tests", size=1) as pool:
        await count_usage(pool, quota)


BOUNDS = [
    (Quota(queued=3), 1_000, 429, "quota-exceeded"),
    (Quota(in_flight=3), 1_000, 429, "quota-exceeded"),
    (None, 3, 503, "backlog-full"),
]


@pytest.mark.parametrize(("quota", "largest", "status", "code"), BOUNDS)
async def test_a_replay_of_one_is_refused_without_room(
    database_url: str, connection: Connection, quota: Quota, largest: int, status: int, code: str
) -> None:
    """As a submission would be, with Retry-After; the dead letter stays what it was."""
    ids = await dead(connection, 4, priority=9)
    async with bounded(database_url, quota, largest) as client:
        answers = [await client.post(f"/v1/tasks/{each}/replay") for each in ids]
    assert [each.status_code for each in answers] == [202, 202, 202, status]
    assert (await answers[3].get_json())["code"] == code
    assert int(answers[3].headers["Retry-After"]) >= 1
    assert await rows(connection, "SELECT state FROM tasks WHERE generation = 1") == ["failed"]


@pytest.mark.parametrize(("quota", "largest", "status", "code"), BOUNDS)
async def test_a_replay_of_many_stops_at_the_bound(
    database_url: str, connection: Connection, quota: Quota, largest: int, status: int, code: str
) -> None:
    """It says how many are left and why; when there is no room for any, it is refused whole."""
    # Given more dead letters than there is room for
    await dead(connection, 10, priority=9)
    async with bounded(database_url, quota, largest) as client:
        # When they are replayed
        answer = await replay_all(client)
        report = await answer.get_json()
        again = await replay_all(client)
    # Then as many as have room are, and the rest is counted
    assert (answer.status_code, report["count"], report["left"]) == (202, 3, 7)
    assert not report["more"]
    assert (report["stopped"]["status"], report["stopped"]["code"]) == (status, code)
    assert int(answer.headers["Retry-After"]) >= 1
    assert (again.status_code, (await again.get_json())["code"]) == (status, code)
    assert await count(connection, PENDING) == 3


async def test_the_rest_is_replayed_by_the_same_request_once_there_is_room(
    database_url: str, connection: Connection
) -> None:
    """Nothing is replayed twice; the limit leaves out some, the bound others."""
    quota = Quota(queued=4)
    await dead(connection, 10)
    async with bounded(database_url, quota) as client:
        first = await (await replay_all(client, limit=8)).get_json()
    assert (first["count"], first["left"], first["more"]) == (4, 4, True)
    await connection.execute(ENDED)
    await counted(database_url, quota)
    async with bounded(database_url, quota) as client:
        second = await (await replay_all(client)).get_json()
    assert (second["count"], second["left"], second["more"]) == (4, 2, False)
    assert await rows(connection, "SELECT max(generation) FROM tasks") == [2]


async def test_what_would_be_refused_today_needs_no_room(
    database_url: str, connection: Connection
) -> None:
    """It is reported as far as the replay came, and not what was not looked at."""
    ids = await dead(connection, 6)
    await connection.execute("UPDATE tasks SET type = 'z.z' WHERE id = ANY (%s)", (ids[::2],))
    async with bounded(database_url, Quota(queued=2)) as client:
        report = await (await replay_all(client)).get_json()
    # Refused, replayed, refused, replayed, refused; for the sixth there is no room.
    assert (report["count"], report["refused"], report["left"]) == (2, 3, 1)


async def test_a_dry_run_needs_no_room(database_url: str, connection: Connection) -> None:
    """It tells how many there are, not how many there is room for now."""
    await dead(connection, 5)
    async with bounded(database_url, Quota(queued=2)) as client:
        report = await (await replay_all(client, dry_run=True)).get_json()
        assert (report["count"], report["left"], report["stopped"]) == (5, 0, None)
        assert (await (await replay_all(client)).get_json())["count"] == 2


async def test_replays_cost_no_tokens(database_url: str, connection: Connection) -> None:
    """The rate is for submissions: replays neither wait for it nor use it up."""
    await dead(connection, 5)
    quota = Quota(rate=Rate(2, timedelta(minutes=1)), in_flight=100)
    async with bounded(database_url, quota) as client:
        assert (await (await replay_all(client)).get_json())["count"] == 5
        answers = [await client.post("/v1/tasks", json={"type": "a.b"}) for _ in range(3)]
    assert [each.status_code for each in answers] == [202, 202, 429]


async def test_nothing_is_replayed_while_too_much_is_stored(
    database_url: str, connection: Connection
) -> None:
    """Arguments that are there already add no bytes, others do."""
    ids = await dead(connection, 3)
    args = {"args": {"text": "x" * 100}}
    async with bounded(database_url, Quota(stored=1_000)) as client:
        kept = [await client.post(f"/v1/tasks/{each}/replay") for each in ids[:2]]
        [stored] = await rows(connection, "SELECT drawn_bytes FROM tenant_usage")
        await client.post(f"/v1/tasks/{ids[2]}/replay", json=args)
    assert [each.status_code for each in kept] == [202, 202]
    assert stored == 0
    assert await rows(connection, "SELECT drawn_bytes > 100 FROM tenant_usage") == [True]
    await connection.execute("UPDATE tenant_usage SET stored = 1000")
    await connection.execute(ENDED)
    async with bounded(database_url, Quota(stored=1_000)) as client:
        answer = await client.post(f"/v1/tasks/{ids[0]}/replay")
    assert (answer.status_code, (await answer.get_json())["code"]) == (429, "quota-exceeded")


async def send(client: HttpClient, documents: Sequence[Json]) -> Any:
    headers = {"Content-Type": BATCH}
    return await client.post("/v1/events", data=json.dumps(documents), headers=headers)


@pytest.mark.parametrize(("quota", "largest", "status", "code"), BOUNDS)
async def test_events_are_refused_whole_when_their_tasks_have_no_room(
    database_url: str, connection: Connection, quota: Quota, largest: int, status: int, code: str
) -> None:
    """Nothing of them is stored, and what fits is taken by the next request."""
    urgent = table({**THUMBNAILS, "priority": 9})
    async with bounded(database_url, quota, largest, urgent) as client:
        refused = await send(client, [event(n) for n in range(4)])
        assert (refused.status_code, (await refused.get_json())["code"]) == (status, code)
        assert int(refused.headers["Retry-After"]) >= 1
        assert await count(connection, EVERYTHING) == 0
        assert (await send(client, [event(n) for n in range(3)])).status_code == 202
    assert await count(connection, PENDING) == 3


async def test_events_that_are_there_already_are_never_refused(
    database_url: str, connection: Connection
) -> None:
    """Whoever lost the reply learns what became of them; those that make nothing need no room."""
    idle = event(9, data={"size": 0})
    async with bounded(database_url, Quota(queued=2), routing=table(THUMBNAILS)) as client:
        first = await (await send(client, [event(1), event(2)])).get_json()
        again = await send(client, [event(2), idle, event(1)])
        items = (await again.get_json())["items"]
        assert (await send(client, [event(1), event(3)])).status_code == 429
    assert again.status_code == 202
    assert [each["duplicate"] for each in items] == [True, False, True]
    assert items[2]["tasks"] == first["items"][0]["tasks"]
    assert await rows(connection, "SELECT id FROM inbox_events ORDER BY id") == ["e1", "e2", "e9"]


async def test_an_event_that_makes_more_than_a_bound_needs_all_of_it(
    database_url: str, connection: Connection
) -> None:
    """It would never come in else; while anything else waits, it does not."""
    rules = [{**MAIL, "name": f"mail-{n}"} for n in range(4)]
    async with bounded(database_url, Quota(queued=2), routing=table(*rules)) as client:
        assert (await send(client, [event(1)])).status_code == 202
        assert (await send(client, [event(2)])).status_code == 429
    assert await count(connection, PENDING) == 4


async def test_events_are_refused_when_their_pool_is_full_for_too_long(
    database_url: str, connection: Connection
) -> None:
    """By the wait that is to be expected, as submissions are, and for that pool alone."""
    # Given a pool that would take half a minute for what waits, which is longer than it may
    routing = table(THUMBNAILS)
    pool = replace(routing.pools["p"], longest_wait=timedelta(seconds=10), concurrency=2)
    other = replace(pool, name="q", tasks=("mail.#",))
    pool = replace(pool, tasks=("image.*",))
    routing = replace(table(THUMBNAILS, {**MAIL, "match": "mail.#"}), pools={"p": pool, "q": other})
    await windows.count_consumers(connection, "p", 1, size=8)
    await connection.execute("UPDATE pool_windows SET run_mean = 0.998, run_variance = 0.1")
    async with open_parts(database_url, routing) as parts:
        client = client_of(parts)
        for number in range(60):
            await client.post("/v1/tasks", json={"type": "image.x", "args": {"n": number}})
        # When the bound has been looked at
        await parts.intake.backlog.look()
        # Then events for it are refused, and others are not
        full = await send(client, [event(1)])
        assert (await send(client, [event(2, type="mail.sent")])).status_code == 202
    assert (full.status_code, (await full.get_json())["code"]) == (503, "backlog-full")
    assert "pool 'p'" in (await full.get_json())["detail"]
    assert await rows(connection, "SELECT id FROM inbox_events") == ["e2"]
