"""The duties that tell the world outside: relays of the history, and deliveries to webhooks."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from taskyard.services.deliver import Sender, forget_deliveries
from taskyard.services.relay import Relay
from taskyard.storage.pool import Pool

Duty = Callable[[], Awaitable[None]]

_RELAY_EVERY = 0.25
_SEND_EVERY = 1.0
_FORGET_EVERY = 60.0


def relaying(relay: Relay) -> Duty:
    """Return the duty to pass on the history."""

    async def duty() -> None:
        if not await relay.round():
            await asyncio.sleep(_RELAY_EVERY)

    return duty


def sending(sender: Sender, arrived: asyncio.Event) -> Duty:
    """Return the duty to send what is due: looked for when something arrives, and each second."""

    async def duty() -> None:
        if await sender.start_due() == 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SEND_EVERY):
                    await arrived.wait()
            arrived.clear()

    return duty


def forgetting(pool: Pool) -> Duty:
    """Return the duty to remove deliveries that ended long ago."""

    async def duty() -> None:
        await forget_deliveries(pool)
        await asyncio.sleep(_FORGET_EVERY)

    return duty
