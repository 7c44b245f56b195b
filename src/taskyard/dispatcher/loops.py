"""The dispatcher's loops."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog

from taskyard.broker.publisher import Publisher
from taskyard.core.errors import StorageUnavailable
from taskyard.core.routing import RoutingTable
from taskyard.dispatcher.outward import Duty
from taskyard.services.fill import Filler
from taskyard.services.reap import REAP_EVERY, Reaper
from taskyard.services.reconcile import CHECK_EVERY, Reconciler
from taskyard.services.retain import forget_events, forget_keys, forget_sessions, rest_after, retain
from taskyard.stopping import end
from taskyard.storage import listen, run_times, task_types, tasks, windows, workers
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds
_AFTER_TROUBLE = 1.0
_MEASURE_EVERY = 1.0
_ROWS_AT_ONCE = 500


class Dispatcher:
    """Promotes, expires, publishes, reaps, reconciles, and removes what was kept long enough."""

    def __init__(
        self,
        *,
        database_url: str,
        pool: Pool,
        publisher: Publisher,
        reconciler: Reconciler,
        table: RoutingTable,
        outward: Sequence[Duty] = (),
    ) -> None:
        self._database_url = database_url
        self._pool = pool
        self._publisher = publisher
        self._filler = Filler(connections=pool, publisher=publisher, table=table)
        self._reaper = Reaper(pool)
        self._reconciler = reconciler
        self._table = table
        self._outward = outward
        self._pending = asyncio.Event()
        self._dates = asyncio.Event()
        self.database_faults = 0

    async def run(self) -> None:
        """Run every duty until cancelled."""
        duties = [
            asyncio.create_task(self._listen(), name="listen"),
            asyncio.create_task(self._repeat(self._publish), name="publish"),
            asyncio.create_task(self._repeat(self._keep_dates), name="keep dates"),
            asyncio.create_task(self._repeat(self._reap), name="reap"),
            asyncio.create_task(self._repeat(self._reconcile), name="reconcile"),
            asyncio.create_task(self._repeat(self._retain), name="retain"),
            asyncio.create_task(self._repeat(self._measure), name="measure"),
            *(asyncio.create_task(self._repeat(duty), name="outward") for duty in self._outward),
        ]
        try:
            await asyncio.gather(*duties)
        finally:
            await end(*duties)

    async def _listen(self) -> None:
        async for _ in listen.listen(self._database_url, listen.DISPATCH, name="dispatcher"):
            self._pending.set()
            self._dates.set()

    async def _repeat(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Do a duty for ever; the database being away is no reason to stop."""
        while True:
            try:
                await duty()
            except StorageUnavailable as error:
                self.database_faults += 1
                log.warning("database unavailable", error=error.detail)
                await asyncio.sleep(_AFTER_TROUBLE)

    async def _publish(self) -> None:
        await self._publisher.connected.wait()
        if wait := await self._filler.fill():
            await _wait(self._pending, wait)

    async def _keep_dates(self) -> None:
        async with borrowed(self._pool) as connection:
            promoted = await tasks.promote_due(connection, limit=_ROWS_AT_ONCE)
            expired = await tasks.expire_due(connection, limit=_ROWS_AT_ONCE)
            boosted = await tasks.boost_due(connection, limit=_ROWS_AT_ONCE)
            if promoted or boosted:
                self._pending.set()
            if promoted or expired or boosted:
                return  # there may be more
            seconds = await tasks.next_deadline(connection)
        # A date far ahead is looked at again: the database's clock may be set, ours may drift.
        await _wait(self._dates, 30.0 if seconds is None else min(max(seconds, 0.005), 30.0))

    async def _reap(self) -> None:
        if await self._reaper.pass_once() == 0:
            await asyncio.sleep(REAP_EVERY)

    async def _reconcile(self) -> None:
        suspicious = await self._reconciler.check()
        await asyncio.sleep(_LOOK_EVERY if suspicious else CHECK_EVERY)

    async def _measure(self) -> None:
        async with borrowed(self._pool) as connection:
            await run_times.measure(connection, every=_MEASURE_EVERY)
        await asyncio.sleep(_MEASURE_EVERY)

    async def _retain(self) -> None:
        began = time.monotonic()
        await retain(self._pool, self._table, now=datetime.now(UTC))
        await forget_keys(self._pool)
        await forget_sessions(self._pool)
        await forget_events(self._pool, self._table, now=datetime.now(UTC))
        async with borrowed(self._pool) as connection:
            await windows.forget_shares(connection)
            await workers.forget_workers(connection)
            await task_types.forget_of_no_pool(connection, self._table.pools)
        await asyncio.sleep(rest_after(time.monotonic() - began))


async def _wait(signal: asyncio.Event, seconds: float) -> None:
    """Wait for the signal, at most so long, and take it down.

    Not with asyncio.wait_for: before Python 3.12 it swallows a cancellation that comes together
    with the signal (bpo-37658), and the dispatcher would not stop.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await signal.wait()
    signal.clear()
