"""Events without room stay with the broker, and the ingest goes on by itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from taskyard.broker.consumer import Consumer, Message, open_consumer
from taskyard.broker.declare import connected
from taskyard.broker.topology import ingest_queue
from taskyard.core.quotas import Quota
from taskyard.core.routing import RoutingTable
from taskyard.ingest import HELD
from taskyard.services.topology import apply_topology
from taskyard.services.usage import count_usage
from taskyard.storage import windows
from taskyard.storage.pool import open_pool
from tests.events import (
    THUMBNAILS,
    Connection,
    event,
    events_exchange,
    ingesting,
    rows,
    structured,
    table,
    until,
)

MADE = "SELECT count(*) FROM tasks"
END_ALL = "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'pending'"
ROOM = 10
PUBLISHED = HELD.messages + 50
TABLE = table({**THUMBNAILS, "priority": 9})


@pytest.fixture
async def published(connection: Connection, amqp_url: str, prefix: str) -> None:
    """More events than an ingest holds, in the queue."""
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
    async with events_exchange(amqp_url, prefix) as exchange:
        sent = (exchange.publish(structured(event(n)), "k") for n in range(PUBLISHED))
        await asyncio.gather(*sent)


def ready(amqp_url: str, prefix: str) -> int:
    """The messages that the broker has given to nobody."""
    with connected(amqp_url) as broker:
        found = broker.channel().queue_declare(ingest_queue(prefix), passive=True)
        return int(found.message_count)


async def quota_used_up(connection: Connection) -> RoutingTable:
    return replace(TABLE, quota=Quota(queued=ROOM))


async def pool_full(connection: Connection) -> RoutingTable:
    """About ten are worked off in the five seconds that one may wait."""
    await windows.count_consumers(connection, "p", 1, size=8)
    await connection.execute("UPDATE pool_windows SET run_mean = 0.49, run_variance = 0.1")
    pool = replace(TABLE.pools["p"], longest_wait=timedelta(seconds=5), concurrency=1)
    return replace(TABLE, pools={"p": pool})


async def all_full(connection: Connection) -> RoutingTable:
    return TABLE


BOUNDS = [(quota_used_up, 10_000_000), (pool_full, 10_000_000), (all_full, ROOM)]


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(("bound", "largest"), BOUNDS)
async def test_events_without_room_stay_with_the_broker_until_there_is_some(
    connection: Connection, database_url: str, amqp_url: str, prefix: str, bound: Any, largest: int
) -> None:
    """Whichever bound it is. What is held is bounded, too."""
    # Given room for a few
    routing = await bound(connection)
    with capture_logs() as logs:
        async with ingesting(database_url, amqp_url, prefix, routing, largest=largest) as consumer:
            # When more events come, then a few are taken in, and so many are held as ever may
            # (what was stored behind others that wait is acknowledged together with them).
            left = range(PUBLISHED - ROOM - HELD.messages, PUBLISHED - HELD.messages + 1)
            await until(lambda: _count(connection), ROOM)
            await until(lambda: _is_in(left, amqp_url, prefix), True)
            assert consumer.connected.is_set()
            # When there is room again, and only then, it goes on by itself
            await connection.execute(END_ALL)
            await _counted(database_url, routing)
            await until(lambda: _count(connection), 2 * ROOM)
            assert await rows(connection, "SELECT count(*) FROM inbox_events") == [2 * ROOM]
    # Each of the two writers says once that it waits, however long that is
    assert [each["event"] for each in logs].count("events wait") <= 4


@pytest.mark.usefixtures("published")
async def test_a_consumer_of_which_all_is_taken_that_it_may_hold_is_not_taken_for_deaf(
    amqp_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are ready and none is delivered, for as long as those taken have no room."""
    looks = []
    look = Consumer._look

    async def kept(consumer: Consumer, *given: Any) -> str:
        looks.append(await look(consumer, *given))
        return looks[-1]

    monkeypatch.setattr(Consumer, "_look", kept)
    # Given a consumer of which somebody has taken all that it may hold
    bounds, queue = replace(HELD, messages=3), ingest_queue(prefix)
    async with open_consumer(amqp_url, queue, bounds=bounds, look_after=0.5) as consumer:
        taken: list[Message] = []
        while len(taken) < bounds.messages:
            taken += await consumer.take(bounds.messages, most_bytes=1_000_000)
        # When it is looked several times why nothing more comes
        looks.clear()
        await until(lambda: _value(len(looks) >= 3), True)
        # Then nothing is strange, and what was taken is still its own
        assert set(looks) == {""}
        assert all(map(consumer.holds, taken))


async def _is_in(expected: range, amqp_url: str, prefix: str) -> bool:
    return await asyncio.to_thread(ready, amqp_url, prefix) in expected


async def _value(found: object) -> object:
    return found


@pytest.mark.usefixtures("published")
async def test_all_are_taken_in_in_the_end(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Each once, though the bound is far below what comes together."""
    routing = replace(TABLE, quota=Quota(queued=HELD.messages // 2))
    async with ingesting(database_url, amqp_url, prefix, routing):
        # Counted once: what is stored between two counts would never be exceeded.
        while (before := await _count(connection)) < PUBLISHED:
            await connection.execute(END_ALL)
            await _counted(database_url, routing)
            await until(lambda: _more_than(connection, before), True)
    assert await rows(connection, "SELECT count(DISTINCT args->>'source') FROM tasks") == [
        PUBLISHED
    ]
    assert await asyncio.to_thread(ready, amqp_url, prefix) == 0


async def _count(connection: Connection) -> int:
    return int((await rows(connection, MADE))[0])


async def _more_than(connection: Connection, before: int) -> bool:
    return await _count(connection) > before


async def _counted(database_url: str, routing: RoutingTable) -> None:
    async with open_pool(database_url, name="tests", size=1) as pool:
        await count_usage(pool, routing.quota)
