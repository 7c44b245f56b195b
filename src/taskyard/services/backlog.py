"""The backlog's bound: while the broker is away tasks are accepted, but not for ever."""

import asyncio
import contextlib
import time

import structlog

from taskyard.core.errors import BacklogFull, StorageUnavailable
from taskyard.storage import tasks
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds
_SHARE_OF_TIME = 20  # looking takes a twentieth of the time at most, however long the backlog


class Backlog:
    """Whether more tasks wait to be published than the deployment allows.

    It is looked at every second, so what comes within a second goes beyond the bound.
    """

    def __init__(self, pool: Pool, *, largest: int) -> None:
        self._pool = pool
        self._largest = largest
        self._full = False

    def admit(self) -> None:
        """Raise BacklogFull while the backlog is full."""
        if self._full:
            raise BacklogFull(f"{self._largest} tasks wait for the message broker; try again later")

    async def watch(self) -> None:
        """Look, again and again. Never returns."""
        while True:
            began = time.monotonic()
            with contextlib.suppress(StorageUnavailable):  # then nothing is accepted anyway
                await self.look()
            took = time.monotonic() - began
            await asyncio.sleep(max(_LOOK_EVERY, took * _SHARE_OF_TIME))

    async def look(self) -> None:
        """Count what waits, up to the bound. Raises StorageUnavailable."""
        async with borrowed(self._pool) as connection:
            waiting = await tasks.count_pending(connection, at_most=self._largest)
        full = waiting >= self._largest
        if full != self._full:
            log.warning("backlog is full" if full else "backlog has room again", waiting=waiting)
        self._full = full
