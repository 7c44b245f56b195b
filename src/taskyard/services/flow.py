"""Flow: read what comes, waits, runs and ends, once for all who look.

It is all from what dispatchers have counted, so a reading costs what there are pools and types.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from taskyard.broker.publisher import Publisher
from taskyard.core.flow import PoolFlow, Rates, YardFlow
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.statistics import ENDINGS, Change
from taskyard.services.statistics import Snapshot, snapshot
from taskyard.storage import flow
from taskyard.storage.flow import Counted
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.pool import borrowed
from taskyard.storage.statistics import Total, Unended

READ_EVERY = 1.0  # seconds
_SMOOTHED_OVER = 10.0  # seconds
_FAILED = (Change.FAILED, Change.QUARANTINED)

Counts = Mapping[str, Rates]  # by pool: how many so far


@dataclass(frozen=True, slots=True)
class _Reading:
    at: float
    counts: Counts


class Flow:
    """Reads the flow for all viewers of one process: at most once a second, whoever asks."""

    def __init__(
        self,
        connections: ConnectionPool,
        table: RoutingTable,
        publisher: Publisher,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._table = table
        self._publisher = publisher
        self._clock = clock
        self._reading = asyncio.Lock()
        self._readings: deque[_Reading] = deque()
        self._latest: tuple[float, YardFlow] | None = None

    async def read(self) -> YardFlow:
        """Return the flow as it was within the last second. Raises StorageUnavailable."""
        async with self._reading:
            now = self._clock()
            if self._latest is None or now - self._latest[0] >= READ_EVERY:
                self._latest = now, await self._read(now)
            return self._latest[1]

    async def _read(self, now: float) -> YardFlow:
        async with borrowed(self._connections) as connection:
            found = await snapshot(connection)
            events = await flow.events_lately(connection, seconds=_SMOOTHED_OVER)
            while self._readings and now - self._readings[0].at > _SMOOTHED_OVER:
                self._readings.popleft()
            counts = _counts(found.totals)
            if self._readings:
                rates = _rates(self._readings[0], counts, now)
            else:  # nobody has looked for a while
                rates = _first(await flow.counts_lately(connection))
        self._readings.append(_Reading(now, counts))
        return YardFlow(
            pools=tuple(_pool(pool, found, rates) for pool in self._table.pools.values()),
            broker_up=self._publisher.connected.is_set(),
            silent=found.lags.get("backlog"),
            events=events.events,
            from_events=events.tasks,
        )


def _counts(totals: Iterable[Total]) -> Counts:
    sums: dict[str, Rates] = {}
    for total in totals:
        sums[total.pool] = sums.get(total.pool, Rates()) + _counted(total.change, total.count)
    return sums


def _first(counts: Iterable[Counted]) -> Counts:
    sums: dict[str, Rates] = {}
    for each in counts:
        rate = each.count / max(each.seconds, 1.0)
        sums[each.pool] = sums.get(each.pool, Rates()) + _counted(each.change, rate)
    return sums


def _counted(change: Change, count: float) -> Rates:
    return Rates(
        accepted=count if change is Change.ACCEPTED else 0,
        started=count if change is Change.STARTED else 0,
        ended=count if change in ENDINGS else 0,
        failed=count if change in _FAILED else 0,
    )


def _rates(before: _Reading, counts: Counts, now: float) -> Counts:
    seconds = max(now - before.at, READ_EVERY / 2)
    return {
        pool: _scaled(count, before.counts.get(pool, Rates()), seconds)
        for pool, count in counts.items()
    }


def _scaled(count: Rates, before: Rates, seconds: float) -> Rates:
    return Rates(
        accepted=max(0.0, count.accepted - before.accepted) / seconds,
        started=max(0.0, count.started - before.started) / seconds,
        ended=max(0.0, count.ended - before.ended) / seconds,
        failed=max(0.0, count.failed - before.failed) / seconds,
    )


def _pool(pool: Pool, found: Snapshot, rates: Counts) -> PoolFlow:
    backlog = [each for each in found.backlog if each.pool == pool.name]
    due = [each for each in backlog if each.state in ("pending", "queued")]
    flowing = PoolFlow(
        name=pool.name,
        running=_sum(backlog, "running"),
        later=_sum(backlog, "scheduled", "retrying"),
        oldest=max((each.age for each in due), default=0.0),
        waiting={each.priority: each.count for each in due if each.state == "pending"},
        held={each.priority: each.count for each in due if each.state == "queued"},
        rates=rates.get(pool.name, Rates()),
    )
    for each in found.standings:
        if each.pool == pool.name:
            workers, slots = each.consumers, each.consumers * pool.concurrency
            return replace(
                flowing, workers=workers, slots=slots, window=each.size, paused=each.paused
            )
    return flowing


def _sum(backlog: Iterable[Unended], *states: str) -> int:
    return sum(each.count for each in backlog if each.state in states)
