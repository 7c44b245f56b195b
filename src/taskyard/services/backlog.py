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

from taskyard.core.backlog import Bound, Demand
from taskyard.core.errors import BacklogFull, StorageUnavailable
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.units import show_duration
from taskyard.services.backlog_bounds import NOWHERE, Counted, look_at
from taskyard.stopping import end
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

_LOOK_EVERY, _LOOK_AGAIN = 1.0, 0.1  # seconds; the latter while a bound is near
_SELDOM = 5.0  # seconds at most from one look to the next, also when a busy database made it slow
_SHARE_OF_TIME = 20  # looking takes a twentieth of the time at most, however long the backlog


class Backlog:
    """Whether more tasks wait than the deployment allows.

    It is looked at every second, and more often when it is half full: what comes in between goes
    beyond the bounds. To that of a pool each process adds what it has let in itself since.
    """

    def __init__(self, pool: Pool, *, largest: int, table: RoutingTable = NOWHERE) -> None:
        self._pool = pool
        self._table = table
        self._whole = Bound(waiting=0, most=largest)
        self._pools: dict[str, Bound] = {}
        self._since = Counted()
        self._grouped, self._grouped_before = Counted(), Counted()
        self._full = False

    @property
    def is_near(self) -> bool:
        """Whether a bound is so near that submissions may be refused for it."""
        return any(each.is_near for each in (self._whole, *self._pools.values()))

    def require_room(self, pool: str, priority: int, tenant: TenantId) -> None:
        """Raise BacklogFull if a task of a tenant would not be let in."""
        if not self._whole.admits(priority, tenant, held=self._since.of(tenant=tenant)):
            raise self._all_full(priority)
        bound = self._pools.get(pool)
        if bound is not None:
            more, held = self._since.of(pool), self._since.of(pool, tenant)
            if not bound.admits(priority, tenant, more=more, held=held):
                raise self._pool_full(pool, bound, priority)

    def admit(self, pool: str, priority: int, tenant: TenantId) -> None:
        """Let a task of a tenant in. Raises BacklogFull."""
        self.require_room(pool, priority, tenant)
        self._since.add(pool, tenant)

    def admit_group(self, group: Sequence[Demand], tenant: TenantId) -> None:
        """Let in tasks of a tenant that are made together, all or none. Raises BacklogFull.

        Replays and events come in heaps, so these are counted at once against all bounds.
        """
        own: Counter[str] = Counter()
        for each in group:
            self._require(each, own, tenant)
            own[each.pool] += 1
        for pool, count in own.items():
            self._grouped.add(pool, tenant, count)

    def _require(self, demand: Demand, own: Counter[str], tenant: TenantId) -> None:
        pool, priority = demand.pool, demand.priority
        more, held = (
            self._in_groups(),
            self._in_groups(tenant=tenant) + self._since.of(None, tenant),
        )
        if not self._whole.admits(priority, tenant, more=more, held=held, own=own.total()):
            raise self._all_full(priority)
        bound = self._pools.get(pool)
        more = self._since.of(pool) + self._in_groups(pool)
        held = self._since.of(pool, tenant) + self._in_groups(pool, tenant)
        if bound and not bound.admits(priority, tenant, more=more, held=held, own=own[pool]):
            raise self._pool_full(pool, bound, priority)

    def _in_groups(self, pool: str | None = None, tenant: TenantId | None = None) -> int:
        return self._grouped.of(pool, tenant) + self._grouped_before.of(pool, tenant)

    def leave(self, groups: Sequence[Sequence[Demand]], tenant: TenantId) -> None:
        """Take back groups of a tenant that were let in and will not come."""
        for group in groups:
            for each in group:
                self._grouped.add(each.pool, tenant, -1)

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
            every = _LOOK_AGAIN if self.is_near else _LOOK_EVERY
            await asyncio.sleep(max(every, min(took * _SHARE_OF_TIME, _SELDOM)))

    async def look(self) -> None:
        """Count what waits, up to the bounds. Raises StorageUnavailable."""
        # What was let in just before may not be stored yet, so it is remembered once more.
        self._grouped_before, self._grouped = self._grouped, Counted()
        largest = self._whole.most
        async with borrowed(self._pool) as connection:
            self._whole, self._pools = await look_at(connection, self._table, largest=largest)
        self._since = Counted()
        waiting = self._whole.waiting
        full = waiting >= largest
        if full != self._full:
            log.warning("backlog is full" if full else "backlog has room again", waiting=waiting)
        self._full = full


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
