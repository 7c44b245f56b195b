"""Plan and apply the topology: its one owner is this command."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import amqp

from taskyard.broker import declare, removal
from taskyard.broker import ledger as ledgers
from taskyard.broker.ledger import KnownQueue, Ledger, Standing
from taskyard.broker.topology import Binding, Change, Step, Topology, broker_name
from taskyard.core.routing import RoutingTable
from taskyard.storage import tasks
from taskyard.storage import topology as ledger_table
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.topology import Row

# Longer than it takes from the broker's confirm of a wake-up to the mark in its row.
_MARKED_WITHIN = timedelta(minutes=1)
_LOOK_EVERY = 1.0


async def plan_topology(
    connection: AsyncConnection, *, amqp_url: str, table: RoutingTable, prefix: str
) -> list[Step]:
    """Return what `apply_topology` would change. Raises BrokerUnavailable."""
    ledger = _from_rows(await ledger_table.read(connection, broker_name(amqp_url, prefix)))

    def ask() -> list[Step]:
        with declare.connected(amqp_url) as broker:
            topology, known = declare.wanted(broker, table, prefix, ledger)
            steps = declare.differences(broker, topology, known)
            left = (removal.foresee(broker, queue, topology) for queue in _left(topology, known))
            return steps + [step for step in left if step is not None]

    return await asyncio.to_thread(ask)


async def apply_topology(
    connection: AsyncConnection, *, amqp_url: str, table: RoutingTable, prefix: str
) -> list[Step]:
    """Make the broker as the routing table wants it; return what was done.

    It may die between any two steps and be run again: what is to be made is written before, and
    what is to be removed is forgotten after. New bindings are made before stale ones go, so no
    type is ever unbound. Raises BrokerUnavailable.
    """
    name = broker_name(amqp_url, prefix)
    async with ledger_table.locked(connection, name), _administering(amqp_url) as broker:
        ledger = _from_rows(await ledger_table.read(connection, name))
        topology, known = await asyncio.to_thread(declare.wanted, broker, table, prefix, ledger)
        steps = await asyncio.to_thread(declare.differences, broker, topology, known)
        await ledger_table.write(connection, name, _to_rows(ledgers.intending(topology, known)))
        await asyncio.to_thread(declare.make, broker, topology)
        # Workers learn of the new queue while the old one still gets wake-ups: none waits unseen.
        await ledger_table.write(connection, name, _to_rows(ledgers.bound(topology, known)))
        await asyncio.to_thread(declare.unbind, broker, ledgers.stale(topology, known))
        await ledger_table.write(connection, name, _to_rows(ledgers.unbound(topology, known)))
        for queue in _left(topology, known):
            step = await asyncio.to_thread(removal.remove, broker, queue, topology, url=amqp_url)
            steps += [step] if step else []
            if step is None or step.change is Change.REMOVE:
                await _forget(connection, name, queue)
    return steps


async def apply_and_drain(
    connection: AsyncConnection,
    *,
    amqp_url: str,
    table: RoutingTable,
    prefix: str,
    within: timedelta,
) -> list[Step]:
    """Apply, again and again until nothing is left to drain or the time is up; return all steps.

    The broker has no signal for a queue that is empty, so it is asked.
    """
    deadline = time.monotonic() + within.total_seconds()
    done: list[Step] = []
    while True:
        steps = await apply_topology(connection, amqp_url=amqp_url, table=table, prefix=prefix)
        if time.monotonic() >= deadline or not any(step.change is Change.DRAIN for step in steps):
            return [*done, *steps]
        changes = (Change.CREATE, Change.REMOVE)
        done += [step for step in steps if step.change in changes]
        await asyncio.sleep(_LOOK_EVERY)


async def _forget(connection: AsyncConnection, broker: str, queue: KnownQueue) -> None:
    """Forget a queue that is gone, and publish again what somebody may have held of it.

    What was ready in it had been claimed. What was delivered and not claimed yet is in the hands
    of a worker; should that die, no queue gets it back.
    """
    async with connection.transaction():
        drained = await ledger_table.forget_queue(connection, broker, queue.name)
        if drained and drained.pool and drained.unbound_at:
            before = drained.unbound_at + _MARKED_WITHIN
            await tasks.publish_again(connection, drained.pool, before, "its queue was replaced")


@asynccontextmanager
async def _administering(url: str) -> AsyncIterator[amqp.Connection]:
    """Open a blocking connection without blocking the loop."""
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, declare.connected(url))


def _left(topology: Topology, ledger: Ledger) -> list[KnownQueue]:
    return ledgers.outdated(topology, ledger)


def _from_rows(rows: list[Row]) -> Ledger:
    bindings: dict[str, set[Binding]] = {Standing.APPLIED: set(), Standing.INTENDED: set()}
    for row in rows:
        if row.kind == "binding":
            made = Binding(queue=row.name, exchange=row.source, pattern=row.pattern)
            bindings[row.state].add(made)
    return Ledger(
        queues={
            row.name: KnownQueue(name=row.name, pool=row.pool, standing=Standing(row.state))
            for row in rows
            if row.kind == "queue"
        },
        bindings=frozenset(bindings[Standing.APPLIED]),
        intended=frozenset(bindings[Standing.INTENDED]),
    )


def _to_rows(ledger: Ledger) -> list[Row]:
    queues = [
        Row("queue", queue.name, "", "", queue.pool, queue.standing)
        for queue in ledger.queues.values()
    ]
    return queues + [
        Row("binding", made.queue, made.exchange, made.pattern, None, standing)
        for standing, bindings in (
            (Standing.APPLIED, ledger.bindings),
            (Standing.INTENDED, ledger.intended - ledger.bindings),
        )
        for made in sorted(bindings)
    ]
