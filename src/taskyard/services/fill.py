"""Fill: keep the window of each pool full, with whom comes next.

The broker gets no more than its workers take soon. All else waits in Postgres, where its order can
still change: for a more urgent task, for another tenant's turn, for a cancel.
"""

import time

from taskyard.broker.publisher import Publisher
from taskyard.core.fairness import Choice, choose
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.window import (
    LARGEST,
    grown_size,
    look_again,
    smoothed_rate,
    window_size,
)
from taskyard.services.dispatch import publish, record
from taskyard.storage import windows
from taskyard.storage.pool import AsyncConnection, borrowed
from taskyard.storage.pool import Pool as ConnectionPool

IDLE = 1.0  # seconds; for rows whose publisher died or whose wait is over
_TAKEN_BY_ANOTHER = 0.05
# Who stores tasks rings once, and then trusts that a dispatcher which has just had work looks again
# by itself (services/rooms.py).
_LINGERS = 0.2
_LINGERING = 0.005  # seconds between two looks
_AT_ONCE = 256  # unconfirmed publishes at once: more gain nothing (measured)


class Filler:
    """Fills windows. Any number may do so: each takes a pool with SKIP LOCKED, for one round."""

    def __init__(
        self, *, connections: ConnectionPool, publisher: Publisher, table: RoutingTable
    ) -> None:
        self._connections = connections
        self._publisher = publisher
        self._table = table
        self._after: dict[str, str] = {}
        self._had_work_at = 0.0

    async def fill(self) -> float:
        """Do a round on every pool in which tasks wait; return the seconds until the next.

        Raises StorageUnavailable.
        """
        async with borrowed(self._connections) as connection:
            pools = await windows.waiting_pools(connection)
            waits = [await self._fill_pool(connection, self._pool(name)) for name in pools]
        wait = min(waits, default=IDLE)
        lingers = wait == IDLE and time.monotonic() - self._had_work_at < _LINGERS
        return _LINGERING if lingers else wait

    def _pool(self, name: str) -> Pool:
        """Return a pool; one that the table has no more is emptied as before."""
        return self._table.pools.get(name) or Pool(name=name, tasks=(), modules=())

    async def _fill_pool(self, connection: AsyncConnection, pool: Pool) -> float:
        if pool.name not in self._after:
            await windows.know(connection, pool.name, size=_size(pool))
            self._after[pool.name] = ""
        async with connection.transaction():
            taken = await windows.take(connection, pool.name, largest=LARGEST)
            if taken is None:
                return _TAKEN_BY_ANOTHER
            claimed = taken.filled - taken.queued
            rate = smoothed_rate(taken.rate, claimed=claimed, seconds=taken.seconds)
            size = _next_size(pool, taken, rate)
            room = min(_AT_ONCE, size - taken.queued)
            choice = await self._choose(connection, pool, room=room, since=taken.virtual_time)
            confirms = await publish(choice.wakeups, self._publisher)
            await record(connection, choice.wakeups, confirms)
            if choice.spent:
                await windows.keep_shares(connection, pool.name, choice.spent)
            filled = taken.queued + len(choice.wakeups)
            await windows.keep(
                connection, pool.name, size=size, filled=filled, rate=rate,
                virtual_time=choice.virtual_time,
            )  # fmt: skip
        if choice.wakeups:
            self._had_work_at = time.monotonic()
        if room > 0 and not choice.wakeups and not self._after[pool.name]:
            return IDLE  # what waits is held, or was refused not long ago
        return 0.0 if filled < size else look_again(size, rate=rate)

    async def _choose(
        self, connection: AsyncConnection, pool: Pool, *, room: int, since: float
    ) -> Choice:
        if room <= 0:
            return Choice(wakeups=(), spent={}, virtual_time=since)
        found = await windows.read_lines(
            connection, pool.name, room=room, after=self._after[pool.name]
        )
        self._after[pool.name] = found.after
        return choose(
            found.lines,
            found.shares,
            virtual_time=since,
            room=room,
            ageing=pool.ageing.total_seconds(),
        )


def _next_size(pool: Pool, taken: windows.Taken, rate: float) -> int:
    wanted = window_size(pool, consumers=taken.consumers, rate=rate)
    if pool.window is not None:
        return wanted
    starved = taken.filled >= taken.size and taken.queued * 4 <= taken.size
    return grown_size(taken.size, wanted=wanted, rate=rate, starved=starved)


def _size(pool: Pool) -> int:
    return window_size(pool, consumers=1, rate=0.0)
