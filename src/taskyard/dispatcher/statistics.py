"""The duties to count what happens, and what has not ended."""

import asyncio
import time

from taskyard.dispatcher.outward import Duty
from taskyard.services.statistics import COUNT_EVERY, Counter, count_backlog, forget_statistics
from taskyard.storage.pool import Pool

_SHARE_OF_TIME = 20  # a twentieth of the time at most, however much has not ended
_FORGET_EVERY = 60.0


def statistics_duties(pool: Pool) -> list[Duty]:
    """Return the duties to count changes, to count the backlog, and to forget old statistics."""
    counter = Counter(pool)

    async def count_changes() -> None:
        began = time.monotonic()
        more = await counter.count()
        # One that is far behind counts half of the time, so the work itself goes on.
        await asyncio.sleep(time.monotonic() - began if more else COUNT_EVERY)

    async def count_unended() -> None:
        began = time.monotonic()
        await count_backlog(pool)
        await asyncio.sleep(max(COUNT_EVERY, (time.monotonic() - began) * _SHARE_OF_TIME))

    async def forget() -> None:
        await forget_statistics(pool)
        await asyncio.sleep(_FORGET_EVERY)

    return [count_changes, count_unended, forget]
