"""Reconcile: hold what the broker has against what it should have, and publish what it lost.

Postgres knows which wake-ups the broker confirmed and nobody has claimed. Each of them is ready in
a queue, or on its way to a worker. When there are more than that can account for, an operator has
purged or deleted a queue, or a broker came back without its disk.

Nobody can say which are missing: the oldest are published again. A wake-up too many is harmless.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from taskyard.broker.depths import Depth
from taskyard.broker.publisher import Publisher
from taskyard.core.errors import TaskyardError
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.core.window import window_size
from taskyard.services.pools import PoolStatus, survey
from taskyard.services.topology import apply_topology
from taskyard.storage import reconciliation, windows
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.pool import borrowed, connect

log = structlog.get_logger(__name__)

CHECK_EVERY = 5.0  # seconds
_SETTLED = 10.0  # seconds after its confirm that a wake-up has surely arrived in its queue
_STALE = 30.0  # seconds after which a wake-up that is not in the queue is not believed to be held
_MOST_AT_ONCE = 2_000  # a purged queue is filled again at this pace, not with a storm


@dataclass(slots=True)
class Seen:
    """The queues of the pools, as they were when they were last looked at (monotonic clock)."""

    at: float = float("-inf")
    depths: Mapping[str, Depth] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Reconciler:
    """What a reconciling process works with."""

    table: RoutingTable
    connections: ConnectionPool
    publisher: Publisher
    database_url: str
    amqp_url: str
    prefix: str
    seen: Seen = field(default_factory=Seen)

    async def check(self) -> bool:
        """Check every pool whose check is due; return whether to look again soon.

        Raises StorageUnavailable. A broker that does not answer is nothing to reconcile with.
        """
        async with borrowed(self.connections) as connection:
            due = await reconciliation.take_checks(
                connection, list(self.table.pools), every=CHECK_EVERY - 0.5
            )
        if not due:
            return False
        # The depth is read before the rows: what is claimed in between is missed, not suspected.
        yard = await survey(
            self.table,
            connections=self.connections,
            amqp_url=self.amqp_url,
            prefix=self.prefix,
        )
        if not yard.broker_up:
            return False
        self.seen.at = time.monotonic()
        self.seen.depths = {each.pool.name: each.depth for each in yard.pools if each.depth}
        if missing := [status.queues.current for status in yard.pools if status.depth is None]:
            await self._restore(missing)
        statuses = [status for status in yard.pools if status.pool.name in due]
        return any([await self._check_pool(each, due[each.pool.name]) for each in statuses])

    async def _restore(self, missing: list[str]) -> None:
        """Somebody removed what `topology apply` made: make it again."""
        log.error("queues are gone, making them again", queues=missing)
        try:
            async with await connect(self.database_url, name="reconciler") as connection:
                await apply_topology(
                    connection, amqp_url=self.amqp_url, table=self.table, prefix=self.prefix
                )
        except TaskyardError as error:
            log.error("queues could not be made again", error=error.detail)

    async def _check_pool(self, status: PoolStatus, suspected: int) -> bool:
        """Publish again what was missing at two checks in a row; return whether any is missing."""
        pool, depth = status.pool, status.depth or Depth(ready=0, consumers=0)
        missing = await self._missing(pool, depth)
        lost = min(missing, suspected, _MOST_AT_ONCE)
        async with borrowed(self.connections) as connection:
            size = window_size(pool, consumers=depth.consumers, rate=0.0)
            await windows.count_consumers(connection, pool.name, depth.consumers, size=size)
            await reconciliation.suspect(connection, pool.name, missing)
            wakeups = (
                await reconciliation.take_overdue(
                    connection, pool.name, older_than=_SETTLED, limit=lost
                )
                if lost
                else []
            )
        if wakeups:
            await self._publish_again(pool, wakeups)
        return missing > 0

    async def _publish_again(self, pool: Pool, wakeups: Sequence[WakeUp]) -> None:
        confirms = await self.publisher.publish(wakeups)
        repaired = confirms.count(Confirm.CONFIRMED)
        log.error("wake-ups were lost", pool=pool.name, lost=len(wakeups), repaired=repaired)
        async with borrowed(self.connections) as connection:
            await reconciliation.count_repairs(
                connection, pool.name, lost=len(wakeups), repaired=repaired
            )

    async def _missing(self, pool: Pool, depth: Depth) -> int:
        """Count what neither the queue nor the hands of workers can account for.

        Workers may hold what is prefetched, but not for ever: with an empty queue, what they have
        not claimed after half a minute is taken for lost.
        """
        held = depth.consumers * pool.concurrency * pool.prefetch
        accounted = depth.ready + held
        async with borrowed(self.connections) as connection:
            settled = await reconciliation.count_overdue(
                connection, pool.name, older_than=_SETTLED, at_most=accounted + _MOST_AT_ONCE
            )
            if settled > accounted or settled == 0 or depth.ready:
                return max(0, settled - accounted)
            return await reconciliation.count_overdue(
                connection, pool.name, older_than=_STALE, at_most=_MOST_AT_ONCE
            )
