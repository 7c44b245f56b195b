"""The backlog's bound: tasks are accepted while others wait, but not without end.

A pool is full when what waits would take it longer than its `longest_wait`; all together are full
at `largest_backlog`, however fast anybody works. As either fills up, low priorities are shed first.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter

import structlog

from taskyard.core.backlog import Bound, most_within
from taskyard.core.errors import BacklogFull, StorageUnavailable
from taskyard.core.routing import HIGHEST_PRIORITY, RoutingTable
from taskyard.core.units import show_duration
from taskyard.services.place import pace_of
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
        self._full = False

    def admit(self, pool: str | None = None, priority: int = HIGHEST_PRIORITY) -> None:
        """Let a task in. Raises BacklogFull; without a pool, only when all of them are full."""
        if not self._whole.admits(priority):
            raise _full(self._whole, priority, f"{self._whole.waiting} tasks wait already")
        if pool is None:
            return
        bound = self._pools.get(pool)
        if bound is not None and not bound.admits(priority, more=self._since[pool]):
            longest = show_duration(self._table.pools[pool].longest_wait)
            raise _full(
                bound, priority, f"the {bound.waiting} tasks that wait in pool {pool!r} take it "
                f"about {longest} or longer",
            )  # fmt: skip
        self._since[pool] += 1

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


def _full(bound: Bound, priority: int, detail: str) -> BacklogFull:
    # Who was refused at the same moment must not come back at the same moment.
    seconds = bound.retry_after(priority, jitter=random.random())  # noqa: S311 - it guards nothing
    return BacklogFull(f"{detail}; try again in {seconds} s", retry_after=seconds)
