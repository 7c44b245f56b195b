"""The duty to release who waits for a limit."""

import asyncio
import contextlib

from taskyard.core.routing import RoutingTable
from taskyard.dispatcher.outward import Duty
from taskyard.services.limits import forget_reservations, release_waiting
from taskyard.storage.listen import LIMITS, listen
from taskyard.storage.pool import Pool

_LOOK_EVERY = 1.0  # seconds; attempts that crashed tell nobody that their permits are free
_SOONEST = 0.005


def releasing(pool: Pool, table: RoutingTable, freed: asyncio.Event) -> Duty:
    """Return the duty to release: when permits were freed, when a rate opens, and each second."""

    async def duty() -> None:
        freed.clear()
        released = await release_waiting(pool, table)
        if released.count:
            return  # there may be more
        await forget_reservations(pool)
        wait = min(_LOOK_EVERY, max(_SOONEST, released.next_in or _LOOK_EVERY))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await freed.wait()

    return duty


async def follow_freed(database_url: str, freed: asyncio.Event) -> None:
    """Set the event whenever an attempt that held permits has ended. Never returns."""
    async for _ in listen(database_url, LIMITS, name="dispatcher limits"):
        freed.set()
