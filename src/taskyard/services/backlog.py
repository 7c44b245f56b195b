"""The backlog's bound: tasks are accepted while others wait, but not without end.

A pool is full when what waits would take it longer than its `longest_wait`; all together are full
at `largest_backlog`, however fast anybody works. As either fills up, low priorities are shed first.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog

from taskyard.core.backlog import Bound, Demand, most_within
from taskyard.core.errors import BacklogFull, StorageUnavailable
from taskyard.core.routing import RoutingTable
from taskyard.core.units import show_duration
from taskyard.services.place import pace_of
from taskyard.stopping import end
from taskyard.storage import run_times, tasks
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds
_COUNTED = 4  # times the bound, to tell how long the excess takes
_SHARE_OF_TIME = 20  # looking takes a twentieth of the time at most, however long the backlog
NOWHERE = RoutingTable(pools={}, defaults={})


class Backlog:
    """Whether more tasks wait than the deployment allows.

    It is looked at every second, so what comes within a second goes beyond the bounds. To that of
    a pool each process adds what it has let in itself since.
    """

    def __init__(self, pool: Pool, *, largest: int, table: RoutingTable = NOWHERE) -> None:
        self._pool = pool
        self._table = table
        self._whole = Bound(waiting=0, most=largest)
        self._pools: dict[str, Bound] = {}
        self._since: Counter[str] = Counter()
        self._grouped: Counter[str] = Counter()
        self._grouped_before: Counter[str] = Counter()
        self._full = False

    def admit(self, pool: str, priority: int) -> None:
        """Let a task in. Raises BacklogFull."""
        if not self._whole.admits(priority):
            raise self._all_full(priority)
        bound = self._pools.get(pool)
        if bound is not None and not bound.admits(priority, more=self._since[pool]):
            raise self._pool_full(pool, bound, priority)
        self._since[pool] += 1

    def admit_group(self, group: Sequence[Demand]) -> None:
        """Let in tasks that are made together, all or none. Raises BacklogFull.

        Replays and events come in heaps, so these are counted at once against all bounds.
        """
        own: Counter[str] = Counter()
        for each in group:
            self._require(each, own)
            own[each.pool] += 1
        self._grouped += own

    def _require(self, demand: Demand, own: Counter[str]) -> None:
        pool, priority = demand.pool, demand.priority
        grouped = self._grouped + self._grouped_before
        if not self._whole.admits(priority, more=grouped.total(), own=own.total()):
            raise self._all_full(priority)
        bound, more = self._pools.get(pool), self._since[pool] + grouped[pool]
        if bound and not bound.admits(priority, more=more, own=own[pool]):
            raise self._pool_full(pool, bound, priority)

    def leave(self, groups: Sequence[Sequence[Demand]]) -> None:
        """Take back groups that were let in and will not come."""
        self._grouped -= Counter(each.pool for group in groups for each in group)

    def _all_full(self, priority: int) -> BacklogFull:
        return _full(self._whole, priority, f"{self._whole.waiting} tasks wait already")

    def _pool_full(self, pool: str, bound: Bound, priority: int) -> BacklogFull:
        longest = show_duration(self._table.pools[pool].longest_wait)
        waiting = f"the {bound.waiting} tasks that wait in pool {pool!r}"
        return _full(bound, priority, f"{waiting} take it about {longest} or longer")

    async def watch(self) -> None:
        """Look, again and again. Never returns."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(StorageUnavailable):  # then nothing is accepted anyway
                await self.look()
            took = time.monotonic() - began
            await asyncio.sleep(max(_LOOK_EVERY, took * _SHARE_OF_TIME))

    async def look(self) -> None:
        """Count what waits, up to the bounds. Raises StorageUnavailable."""
        # What was let in just before may not be stored yet, so it is remembered once more.
        self._grouped_before, self._grouped = self._grouped, Counter()
        async with borrowed(self._pool) as connection:
            largest = self._whole.most
            waiting = await tasks.count_pending(connection, at_most=largest)
            found = await self._look_at_pools(connection)
        self._whole, self._pools = Bound(waiting=waiting, most=largest), found
        self._since.clear()
        full = waiting >= largest
        if full != self._full:
            log.warning("backlog is full" if full else "backlog has room again", waiting=waiting)
        self._full = full

    async def _look_at_pools(self, connection: AsyncConnection) -> dict[str, Bound]:
        """Count only where the bound of a pool is nearer than that of all together."""
        measured = await run_times.paces(connection)
        bounds = {}
        for name, pool in self._table.pools.items():
            if name not in measured or (pace := pace_of(pool, measured[name])) is None:
                continue
            most = most_within(pool.longest_wait.total_seconds(), rate=pace.rate())
            if most < self._whole.most:
                waiting = await tasks.count_pending(connection, at_most=_COUNTED * most, pool=name)
                bounds[name] = Bound(waiting=waiting, most=most, rate=pace.rate())
        return bounds


@asynccontextmanager
async def open_backlog(pool: Pool, *, largest: int, table: RoutingTable) -> AsyncIterator[Backlog]:
    """Open the backlog, looked at if the database answers, and again and again."""
    backlog = Backlog(pool, largest=largest, table=table)
    with contextlib.suppress(StorageUnavailable):
        await backlog.look()
    watching = asyncio.create_task(backlog.watch(), name="backlog")
    try:
        yield backlog
    finally:
        await end(watching)


def _full(bound: Bound, priority: int, detail: str) -> BacklogFull:
    # Who was refused at the same moment must not come back at the same moment.
    seconds = bound.retry_after(priority, jitter=random.random())  # noqa: S311 - it guards nothing
    return BacklogFull(f"{detail}; try again in {seconds} s", retry_after=seconds)
