"""Overview: all pools at a glance, and what runs longest."""

from dataclasses import dataclass
from datetime import datetime

from taskyard.broker.depths import Depth
from taskyard.core.routing import Pool, RoutingTable
from taskyard.services.pools import queues_by_pool, read_depths
from taskyard.storage import overview, pauses
from taskyard.storage.overview import PoolCounts, RunningAttempt, Starts
from taskyard.storage.pauses import Pause
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.pool import borrowed

_LONGEST = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOverview:
    """One pool; what only the broker knows is None when it does not answer or has no queue.

    `ready` wake-ups lie in its queue, `held` are those that the broker confirmed and nobody
    claimed, of `window` that may be. What waits in Postgres is counted up to 10,000.
    """

    name: str
    queue: str
    workers: int | None
    slots: int | None
    running: int
    waiting: int
    held: int
    window: int | None
    ready: int | None
    rate: float
    wait_p50: float | None
    wait_p90: float | None
    paused_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """All pools in the order of the routing table, and the attempts that have run longest."""

    broker_up: bool
    pools: tuple[PoolOverview, ...]
    longest: tuple[RunningAttempt, ...]


async def overlook(
    table: RoutingTable, *, connections: ConnectionPool, amqp_url: str, prefix: str
) -> Overview:
    """Return how everything stands. Raises StorageUnavailable."""
    queues = await queues_by_pool(table, connections=connections, amqp_url=amqp_url, prefix=prefix)
    async with borrowed(connections) as connection:
        counts = await overview.counts(connection, list(table.pools))
        starts = await overview.starts(connection)
        paused = await pauses.pauses(connection)
        longest = await overview.longest_running(connection, limit=_LONGEST)
    found = await read_depths(queues, amqp_url=amqp_url)
    return Overview(
        broker_up=found is not None,
        pools=tuple(
            _pool(
                pool,
                queues[name].current,
                counts=counts[name],
                starts=starts.get(name, Starts()),
                depth=(found or {}).get(name),
                pause=paused.get(name),
            )
            for name, pool in table.pools.items()
        ),
        longest=tuple(longest),
    )


def _pool(
    pool: Pool,
    queue: str,
    *,
    counts: PoolCounts,
    starts: Starts,
    depth: Depth | None,
    pause: Pause | None,
) -> PoolOverview:
    return PoolOverview(
        name=pool.name,
        queue=queue,
        workers=depth.consumers if depth else None,
        slots=depth.consumers * pool.concurrency if depth else None,
        running=counts.running,
        waiting=counts.waiting,
        held=counts.held,
        window=counts.window,
        ready=depth.ready if depth else None,
        rate=starts.rate,
        wait_p50=starts.wait_p50,
        wait_p90=starts.wait_p90,
        paused_at=pause.since if pause else None,
    )
