"""Lately: what every pool did within the last hour, read once for all who look."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from taskyard.core.statistics import ENDINGS, RUNS, Change, Durations
from taskyard.storage import flow
from taskyard.storage.flow import HourOfPool
from taskyard.storage.pool import Pool, borrowed

_READ_EVERY = 15.0  # seconds
_FAILED = (Change.FAILED, Change.QUARANTINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hour:
    """What became of a pool's tasks in an hour: ends, failures, and how long it took."""

    ended: int = 0
    failed: int = 0
    waits: Durations = field(default_factory=Durations)
    runs: Durations = field(default_factory=Durations)

    @property
    def rate(self) -> float:
        """Ends in a second."""
        return self.ended / 3600

    def with_(self, counted: HourOfPool) -> "Hour":
        """Return the same with what was counted of one more change."""
        took, change = counted.durations or Durations(), counted.change
        return replace(
            self,
            ended=self.ended + counted.count * (change in ENDINGS),
            failed=self.failed + counted.count * (change in _FAILED),
            waits=self.waits + took if change is Change.STARTED else self.waits,
            runs=self.runs + took if change in RUNS else self.runs,
        )


class LastHour:
    """Reads the statistics of the last hour, of all tenants, at most every 15 s."""

    def __init__(self, connections: Pool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._connections = connections
        self._clock = clock
        self._reading = asyncio.Lock()
        self._latest: tuple[float, dict[str, Hour]] | None = None

    async def read(self) -> dict[str, Hour]:
        """Return it by pool, without those in which nothing happened. Raises StorageUnavailable."""
        async with self._reading:
            now = self._clock()
            if self._latest is None or now - self._latest[0] >= _READ_EVERY:
                self._latest = now, await self._read()
            return self._latest[1]

    async def _read(self) -> dict[str, Hour]:
        async with borrowed(self._connections) as connection:
            counted = await flow.hour_by_pool(connection)
        found: dict[str, Hour] = {}
        for each in counted:
            found[each.pool] = found.get(each.pool, Hour()).with_(each)
        return found
