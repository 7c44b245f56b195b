"""Pools as they stand: what waits, who consumes, what runs."""

from dataclasses import dataclass

from taskyard.broker.depths import Depth, depths
from taskyard.broker.wakeup import queue_name
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import Pool, RoutingTable
from taskyard.storage import tasks
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.pool import borrowed


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """One pool; `depth` is None when its queue is missing or the broker does not answer."""

    pool: Pool
    queue: str
    depth: Depth | None
    running: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """All pools, and whether the broker answered."""

    broker_up: bool
    pools: tuple[PoolStatus, ...]


async def survey(
    table: RoutingTable, *, connections: ConnectionPool, amqp_url: str, prefix: str
) -> Yard:
    """Return every pool with its queue's depth, its consumers and what runs."""
    queues = {pool.name: queue_name(prefix, pool.name) for pool in table.pools.values()}
    async with borrowed(connections) as connection:
        running = await tasks.count_running(connection)
    try:
        found = await depths(amqp_url, queues.values())
        broker_up = True
    except BrokerUnavailable:
        found, broker_up = {}, False
    statuses = tuple(
        PoolStatus(
            pool=pool,
            queue=queues[name],
            depth=found.get(queues[name]),
            running=running.get(name, 0),
        )
        for name, pool in table.pools.items()
    )
    return Yard(broker_up=broker_up, pools=statuses)
