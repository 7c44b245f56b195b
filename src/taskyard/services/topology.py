"""Plan and apply the topology: its one owner is this command."""

import asyncio

from taskyard.broker import declare
from taskyard.broker.topology import Binding, Ledger, Step
from taskyard.core.routing import RoutingTable
from taskyard.storage import topology as ledger_table
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.topology import Row


async def plan_topology(
    connection: AsyncConnection, *, amqp_url: str, table: RoutingTable, prefix: str
) -> list[Step]:
    """Return what `apply_topology` would change. Raises BrokerUnavailable."""
    ledger = _from_rows(await ledger_table.read(connection, _broker(amqp_url, prefix)))

    def ask() -> list[Step]:
        with declare.connected(amqp_url) as broker:
            return declare.plan(broker, declare.wanted(broker, table, prefix), ledger)

    return await asyncio.to_thread(ask)


async def apply_topology(
    connection: AsyncConnection, *, amqp_url: str, table: RoutingTable, prefix: str
) -> list[Step]:
    """Make the broker as the routing table wants it; return what was done.

    Raises BrokerUnavailable.
    """
    broker_name = _broker(amqp_url, prefix)
    async with connection.transaction():
        await ledger_table.lock(connection, broker_name)
        ledger = _from_rows(await ledger_table.read(connection, broker_name))

        def act() -> tuple[list[Step], Ledger]:
            with declare.connected(amqp_url) as broker:
                topology = declare.wanted(broker, table, prefix)
                return declare.apply(broker, topology, ledger, url=amqp_url)

        steps, applied = await asyncio.to_thread(act)
        await ledger_table.write(connection, broker_name, _to_rows(applied))
    return steps


def _broker(amqp_url: str, prefix: str) -> str:
    """Name a broker's part that is ours: hosts change, the virtual host and prefix stay."""
    return f"{declare.virtual_host(amqp_url)}:{prefix}"


def _from_rows(rows: list[Row]) -> Ledger:
    return Ledger(
        queues=frozenset(name for kind, name, _, _ in rows if kind == "queue"),
        bindings=frozenset(
            Binding(queue=name, exchange=source, pattern=pattern)
            for kind, name, source, pattern in rows
            if kind == "binding"
        ),
    )


def _to_rows(ledger: Ledger) -> list[Row]:
    queues = [("queue", name, "", "") for name in sorted(ledger.queues)]
    bindings = [("binding", b.queue, b.exchange, b.pattern) for b in sorted(ledger.bindings)]
    return queues + bindings
