"""The duties to count what tenants with limits hold."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from taskyard.core.quotas import Quota
from taskyard.dispatcher.outward import Duty
from taskyard.services.usage import count_usage, weigh_usage
from taskyard.storage.pool import Pool

_COUNT_EVERY = 1.0  # seconds
_WEIGH_EVERY = 30.0
_SHARE_OF_TIME = 20  # a twentieth of the time at most, however much there is


def counting(pool: Pool, default: Quota) -> list[Duty]:
    """Return the duties to count tasks, and to sum up their bytes."""
    return [
        _paced(lambda: count_usage(pool, default), _COUNT_EVERY),
        _paced(lambda: weigh_usage(pool, default), _WEIGH_EVERY),
    ]


def _paced(work: Callable[[], Awaitable[None]], every: float) -> Duty:
    async def duty() -> None:
        began = time.monotonic()
        await work()
        await asyncio.sleep(max(every, (time.monotonic() - began) * _SHARE_OF_TIME))

    return duty
