"""The reconciler on real servers: what the broker lost is seen, counted and published again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import amqp
import psycopg
import pytest

from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.task import NewTask, TaskId
from taskyard.services.fill import IDLE, Filler
from taskyard.services.reconcile import Reconciler
from taskyard.services.topology import apply_topology
from taskyard.storage import reconciliation, tasks
from taskyard.storage.pool import open_pool
from taskyard.storage.reconciliation import Reckoning

Connection = psycopg.AsyncConnection[Any]
POOL = Pool(name="p", tasks=("a.*",), modules=("m",), window=5_000)
TABLE = RoutingTable(pools={"p": POOL}, defaults={})


@dataclass(frozen=True)
class Yard:
    """A pool with its queue, and what may be done to them."""

    connection: Connection
    reconciler: Reconciler

    @property
    def queue(self) -> str:
        return queue_name(self.reconciler.prefix, "p")

    async def queued(self, count: int, *, ago: float = 11) -> None:
        """Let the broker have confirmed so many wake-ups, so many seconds ago."""
        new = NewTask(
            id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
            max_attempts=3,
        )  # fmt: skip
        rows = [replace(new, id=TaskId(uuid4())) for _ in range(count)]
        await tasks.insert(self.connection, rows)
        await self.reconciler.publisher.connected.wait()
        reconciler = self.reconciler
        filler = Filler(
            connections=reconciler.connections, publisher=reconciler.publisher, table=TABLE
        )
        while await filler.fill() != IDLE:
            pass
        await self.connection.execute(
            "UPDATE tasks SET queued_at = queued_at - %s * interval '1 s' WHERE state = 'queued'",
            (ago,),
        )

    async def check(self, times: int) -> Reckoning:
        """Check so often, as if the time between two checks were over; return the numbers."""
        for _ in range(times):
            await self.connection.execute("UPDATE reconciliation SET checked_at = '-infinity'")
            await self.reconciler.check()
        return (await reconciliation.read(self.connection))["p"]

    def broker(self) -> Any:
        return connected(self.reconciler.amqp_url)

    def depth(self) -> int:
        with self.broker() as broker:
            return int(broker.channel().queue_declare(self.queue, passive=True).message_count)


@pytest.fixture
async def yard(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> AsyncIterator[Yard]:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url, name="tests", size=4))
        exchange = exchange_name(prefix)
        publisher = await stack.enter_async_context(open_publisher(amqp_url, exchange))
        reconciler = Reconciler(
            table=TABLE,
            connections=pool,
            publisher=publisher,
            database_url=database_url,
            amqp_url=amqp_url,
            prefix=prefix,
        )
        yield Yard(connection, reconciler)


def numbers(found: Reckoning) -> tuple[int, int]:
    return found.lost, found.repaired


async def test_what_is_in_the_queue_is_not_lost(yard: Yard) -> None:
    """However old it is: workers may be slow, or none may be there."""
    await yard.queued(50, ago=10_000)
    assert numbers(await yard.check(3)) == (0, 0)
    assert yard.depth() == 50


async def test_a_purged_queue_is_filled_again(yard: Yard) -> None:
    """Only what is missing at two checks, and once."""
    await yard.queued(50)
    with yard.broker() as broker:
        broker.channel().queue_purge(yard.queue)
    assert numbers(await yard.check(1)) == (0, 0)
    assert numbers(await yard.check(1)) == (50, 50)
    assert numbers(await yard.check(3)) == (50, 50)
    assert yard.depth() == 50


async def test_what_was_confirmed_just_now_is_not_suspected(yard: Yard) -> None:
    """It may be on its way."""
    await yard.queued(20, ago=0)
    with yard.broker() as broker:
        broker.channel().queue_purge(yard.queue)
    assert numbers(await yard.check(3)) == (0, 0)


async def test_a_deleted_queue_is_made_again_and_filled(yard: Yard) -> None:
    """With its bindings, as the routing table wants it."""
    await yard.queued(30)
    with yard.broker() as broker:
        broker.channel().queue_delete(yard.queue)
    assert numbers(await yard.check(3)) == (30, 30)
    assert yard.depth() == 30
    await yard.queued(1)
    assert yard.depth() == 31


async def test_a_wiped_broker_is_made_as_it_was(yard: Yard) -> None:
    """Exchange, queue and bindings are gone; every task is published again."""
    await yard.queued(30)
    with yard.broker() as broker:
        channel = broker.channel()
        channel.queue_delete(yard.queue)
        channel.exchange_delete(exchange_name(yard.reconciler.prefix))
    assert numbers(await yard.check(3)) == (30, 30)
    assert yard.depth() == 30


async def test_what_workers_hold_is_not_lost_for_a_while(yard: Yard) -> None:
    """A consumer may have as much in its hands as its slots allow; later it is asked for again."""
    await yard.queued(2)
    with yard.broker() as broker:
        channel = broker.channel()
        channel.basic_qos(0, 2, False)
        held: list[amqp.Message] = []
        channel.basic_consume(yard.queue, callback=held.append)
        while len(held) < 2:
            broker.drain_events(timeout=5)
        assert numbers(await yard.check(3)) == (0, 0)
        await yard.connection.execute("UPDATE tasks SET queued_at = now() - interval '31 s'")
        assert numbers(await yard.check(2)) == (2, 2)


async def test_two_reconcilers_repair_once(yard: Yard) -> None:
    """The one that asks first checks."""
    await yard.queued(40)
    with yard.broker() as broker:
        broker.channel().queue_purge(yard.queue)
    for _ in range(3):
        await yard.connection.execute("UPDATE reconciliation SET checked_at = '-infinity'")
        await asyncio.gather(yard.reconciler.check(), yard.reconciler.check())
    assert numbers(await yard.check(1)) == (40, 40)
    assert yard.depth() == 40
