"""Relay: pass on the history of all tasks for one purpose, at least once, from a durable cursor.

Any number may run: the cursor has a lease, so one of them reads and the others stand by. The cursor
moves only after what was read was passed on.
"""

import time
from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from taskyard.services.follow import Follower, Watermark
from taskyard.storage import relay
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection, Pool, borrowed
from taskyard.storage.relay import Purpose

LEASE = 5.0
_KEPT_FOR = 2.0  # seconds after which a lease is extended though nothing was read
_CHANGES_AT_ONCE = 500


class Outlet(Protocol):
    """Where changes are passed on to."""

    purpose: Purpose

    @abstractmethod
    async def wants(self, connection: AsyncConnection) -> bool:
        """Return whether anybody may want to hear of changes; False skips them."""

    @abstractmethod
    async def pass_on(self, found: Sequence[Change], turn: "Turn") -> bool:
        """Pass on what was found and move the cursor; return whether both were done."""


class Turn:
    """The right to read for one purpose, as long as its lease lasts."""

    def __init__(self, pool: Pool, purpose: Purpose, holder: UUID) -> None:
        self.pool = pool
        self._purpose = purpose
        self._holder = holder
        self._until = 0.0
        self.position = 0

    async def take(self, connection: AsyncConnection) -> bool:
        """Take or keep the right; return whether it is ours."""
        if time.monotonic() < self._until:
            return True
        now = time.monotonic()
        position = await relay.hold_cursor(
            connection, self._purpose, holder=self._holder, lease=LEASE
        )
        if position is None:
            return False
        self.position, self._until = position, now + _KEPT_FOR
        return True

    async def move(self, connection: AsyncConnection, position: int) -> bool:
        """Move the cursor on; return False when another has taken over."""
        now = time.monotonic()
        moved = await relay.move_cursor(
            connection, self._purpose, holder=self._holder,
            after=self.position, position=position, lease=LEASE,
        )  # fmt: skip
        self._until = now + _KEPT_FOR if moved else 0.0
        if moved:
            self.position = position
        return moved

    def doubt(self) -> None:
        """Ask again before the next round: whether it was moved is not known."""
        self._until = 0.0


class Relay:
    """Reads the history for one outlet."""

    def __init__(self, pool: Pool, outlet: Outlet, *, holder: UUID) -> None:
        self._pool = pool
        self._outlet = outlet
        self._turn = Turn(pool, outlet.purpose, holder)
        self._follower = Follower(0)
        self._watermark = Watermark()

    async def round(self) -> bool:
        """Pass on what there is, at most some hundred changes; return whether there may be more.

        Raises StorageUnavailable.
        """
        async with borrowed(self._pool) as connection:
            found = await self._read(connection)
        if not found:
            return False
        try:
            if await self._outlet.pass_on(found, self._turn):
                return len(found) == _CHANGES_AT_ONCE
        except BaseException:
            self._turn.doubt()
            raise
        return False

    async def _read(self, connection: AsyncConnection) -> list[Change]:
        if not await self._turn.take(connection):
            return []
        if not await self._outlet.wants(connection):
            await self._watermark.rise(connection)
            settled = self._watermark.position
            # Asked again after the look at transactions: who subscribed in one of those is seen.
            if settled > self._turn.position and not await self._outlet.wants(connection):
                await self._turn.move(connection, settled)
            await self._watermark.aim(connection)
            return []
        if self._follower.after != self._turn.position:
            self._follower = Follower(self._turn.position)
        return await self._follower.read(connection, limit=_CHANGES_AT_ONCE)


async def release(pool: Pool, *, holder: UUID) -> None:
    """Let other dispatchers go on at once, when this one stops."""
    async with borrowed(pool) as connection:
        await relay.release_cursors(connection, holder=holder)
