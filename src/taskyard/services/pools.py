"""Pools as they stand: what waits, who consumes, what runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from taskyard.broker.depths import Depth, depths
from taskyard.broker.ledger import PoolQueues, pool_queues
from taskyard.broker.topology import broker_name
from taskyard.core.errors import BrokerUnavailable, PoolNotFound
from taskyard.core.routing import Pool, RoutingTable
from taskyard.storage import pauses, reconciliation, tasks, workers
from taskyard.storage import topology as ledger_table
from taskyard.storage.overview import RunningAttempt
from taskyard.storage.pauses import Pause
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.reconciliation import Reckoning
from taskyard.storage.workers import Worker

_MOST_SHOWN = 100  # attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStatus:
    """One pool; `depth` is None when its queue is missing or the broker does not answer.

    What waits in queues that are drained counts as well.
    """

    pool: Pool
    queues: PoolQueues
    depth: Depth | None
    running: int
    reckoning: Reckoning | None
    pause: Pause | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """All pools, and whether the broker answered."""

    broker_up: bool
    pools: tuple[PoolStatus, ...]


async def queues_by_pool(
    table: RoutingTable, *, connections: ConnectionPool, amqp_url: str, prefix: str
) -> dict[str, PoolQueues]:
    """Return the queues of every pool, as the ledger knows them."""
    async with borrowed(connections) as connection:
        known = await ledger_table.list_queues(connection, broker_name(amqp_url, prefix))
    return {
        name: pool_queues(
            ((queue.name, queue.state) for queue in known if queue.pool == name),
            prefix=prefix,
            pool=name,
        )
        for name in table.pools
    }


async def survey(
    table: RoutingTable, *, connections: ConnectionPool, amqp_url: str, prefix: str
) -> Yard:
    """Return every pool with what waits in its queues, its consumers and what runs."""
    queues = await queues_by_pool(table, connections=connections, amqp_url=amqp_url, prefix=prefix)
    async with borrowed(connections) as connection:
        running = await tasks.count_running(connection)
        reckonings = await reconciliation.read(connection)
        paused = await pauses.pauses(connection)
    found = await read_depths(queues, amqp_url=amqp_url)
    statuses = tuple(
        PoolStatus(
            pool=pool,
            queues=queues[name],
            depth=(found or {}).get(name),
            running=running.get(name, 0),
            reckoning=reckonings.get(name),
            pause=paused.get(name),
        )
        for name, pool in table.pools.items()
    )
    return Yard(broker_up=found is not None, pools=statuses)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLife:
    """One pool with its workers, and what runs there of one owner, the longest first."""

    status: PoolStatus
    workers: tuple[Worker, ...]
    attempts: tuple[RunningAttempt, ...]


async def look_at(
    own: OwnPool, pool: str, table: RoutingTable, *, amqp_url: str, prefix: str
) -> PoolLife:
    """Return all of one pool. Raises PoolNotFound."""
    if (wanted := table.pools.get(pool)) is None:
        known = ", ".join(table.pools)
        raise PoolNotFound(f"there is no pool {pool[:64]!r}; there are {known}")
    alone = RoutingTable(pools={pool: wanted}, defaults={})
    yard = await survey(alone, connections=own.pool, amqp_url=amqp_url, prefix=prefix)
    async with borrowed(own.pool) as connection:
        living = await workers.workers(connection, pool)
    async with borrowed(own) as connection:
        attempts = await workers.running(connection, pool, limit=_MOST_SHOWN)
    return PoolLife(status=yard.pools[0], workers=tuple(living), attempts=tuple(attempts))


async def read_depths(
    queues: Mapping[str, PoolQueues], *, amqp_url: str
) -> dict[str, Depth | None] | None:
    """Return the depth of each pool's queues; None when the broker does not answer."""
    names = [name for each in queues.values() for name in (each.current, *each.draining)]
    try:
        found = await depths(amqp_url, names)
    except BrokerUnavailable:
        return None
    return {pool: _depth(each, found) for pool, each in queues.items()}


def _depth(queues: PoolQueues, found: dict[str, Depth | None]) -> Depth | None:
    """Add what waits in drained queues to the current one; workers consume them all alike."""
    current = found.get(queues.current)
    drained = [depth for name in queues.draining if (depth := found.get(name))]
    if current is None:
        return None
    return replace(current, ready=current.ready + sum(depth.ready for depth in drained))
