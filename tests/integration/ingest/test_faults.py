"""The ingest under faults: killed, cut off, unheard. Every event has exactly one set of tasks."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aio_pika
import pytest

from taskyard.drill.proxy import Mode, Proxy, open_proxy
from taskyard.drill.wire import AmqpEar, Ear, PostgresEar
from taskyard.services.topology import apply_topology
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
from tests.stack import deployment, environment

TABLE = table(THUMBNAILS, {"name": "mails", "match": "upload.#", "task": "mail.send"})
SETS = """
SELECT count(*), count(DISTINCT args->>'source'), count(*) FILTER (WHERE type = 'mail.send')
FROM tasks"""
EVENTS = "SELECT count(*) FROM inbox_events WHERE state = 'fired'"


@pytest.fixture
async def topology(connection: Connection, amqp_url: str, prefix: str) -> None:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)


@asynccontextmanager
async def before(url: str, ear: type[Ear]) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before a server, and the URL through it."""
    port = urlsplit(url).port
    assert port is not None
    async with open_proxy(("127.0.0.1", port), ear) as proxy:
        yield proxy, url.replace(f":{port}/", f":{proxy.port}/")


async def publish(exchange: aio_pika.abc.AbstractExchange, *numbers: int) -> None:
    for number in numbers:
        await exchange.publish(structured(event(number)), "k")


@pytest.mark.usefixtures("topology")
async def test_while_the_database_is_away_nothing_is_acknowledged_and_nothing_lost(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """It goes on by itself; a commit whose reply was lost is not done twice."""
    async with (
        before(database_url, PostgresEar) as (proxy, url),
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(url, amqp_url, prefix, TABLE),
    ):
        await publish(exchange, 0)
        await until(lambda: rows(connection, EVENTS), [1])
        # Given a commit that is carried out, and whose reply never comes
        proxy.swallow(lambda said: "COMMIT" in said)
        await publish(exchange, 1)
        async with asyncio.timeout(20):
            await proxy.done_swallowing.wait()
        # And a database that is away for a while
        proxy.set(Mode.REFUSE)
        proxy.cut()
        await publish(exchange, *range(2, 50))
        assert await rows(connection, EVENTS) == [2]
        proxy.set(Mode.PASS)
        await until(lambda: rows(connection, EVENTS), [50])
    assert await rows(connection, SETS) == [(100, 50, 50)]


@pytest.mark.slow
@pytest.mark.usefixtures("topology")
async def test_a_cut_or_deaf_connection_to_the_broker_is_made_anew(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Deaf means: it is open, and nothing comes through. A look at the queue finds that out."""
    async with (
        before(amqp_url, AmqpEar) as (proxy, url),
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(database_url, url, prefix, TABLE, look_after=0.3) as consumer,
    ):
        await publish(exchange, *range(20))
        await until(lambda: rows(connection, EVENTS), [20])
        proxy.cut()
        await publish(exchange, *range(20, 40))
        await until(lambda: rows(connection, EVENTS), [40])
        assert consumer.connected.is_set()
        proxy.set(Mode.DEAF)
        await publish(exchange, *range(40, 60))

        async def connected() -> bool:
            return consumer.connected.is_set()

        await until(connected, False)
        proxy.set(Mode.PASS)
        await until(lambda: rows(connection, EVENTS), [60])
    assert await rows(connection, SETS) == [(120, 60, 60)]


@pytest.mark.slow
async def test_a_killed_ingest_leaves_every_event_with_exactly_one_set_of_tasks(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """SIGKILL twice while 1,200 events are under way; 5,000 in `benchmarks.ingest`."""
    events = 1_200
    routing = {"TASKYARD_PREFIX": prefix, "TASKYARD_LOG_LEVEL": "error"}
    env = environment(
        TASKYARD_DATABASE_URL=database_url, TASKYARD_AMQP_URL=amqp_url, **deployment(), **routing
    )

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "taskyard", "ingest"], env=env)

    async def enough(count: int) -> bool:
        [found] = await rows(connection, EVENTS)
        return bool(found >= count)

    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
    async with events_exchange(amqp_url, prefix) as exchange:
        for number in range(events):
            made = event(number, type="thing.number.made", subject=str(number % 1000),
                         data={"wanted": True, "value": number})  # fmt: skip
            await exchange.publish(structured(made), "k")
    process = start()
    try:
        for kill in (1, 2):
            await until(lambda share=kill: enough(events * share // 4), True, within=30)
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = start()
        await until(lambda: rows(connection, EVENTS), [events], within=30)
    finally:
        process.terminate()
        process.wait(10)
    # Each event made one echo, and each of the 1,000 subjects one addition
    made_by = (
        "SELECT labels->>'rule', count(*), count(DISTINCT args) FROM tasks GROUP BY 1 ORDER BY 1"
    )
    assert await rows(connection, made_by) == [("add", 1000, 1000), ("echo", events, events)]
