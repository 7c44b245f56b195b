"""Stream: all changes, to however many readers, read once for each process.

A reader that resumes far behind reads by itself, in pages, until it has caught up with the others.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from taskyard.core.errors import StorageUnavailable
from taskyard.services.follow import Follower
from taskyard.services.readers import FAULT, STOPPING, Reader
from taskyard.services.wanted import Wanted
from taskyard.stopping import end
from taskyard.storage import changes, streams
from taskyard.storage.changes import Change
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.25  # seconds
_AFTER_TROUBLE = 1.0
_PAGE = 500


class Stream:
    """The readers of all changes in this process, and the one follower they share."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._readers: dict[Reader[Change], Wanted] = {}
        self.told = 0  # up to this position all readers have been handed what they want
        self._follower: Follower | None = None
        self._following: asyncio.Task[None] | None = None
        self._stopping = False

    def __len__(self) -> int:
        return len(self._readers)

    async def begin(self) -> int:
        """Return the position from which a reader hears only what is new."""
        if self._follower is not None:
            return self._follower.after
        async with borrowed(self._pool) as connection:
            return await changes.newest_position(connection)

    async def lost(self, after: int) -> str | None:
        """Return why a reader that goes on from a position has missed something, if it has."""
        async with borrowed(self._pool) as connection:
            oldest, newest = await streams.kept_positions(connection)
        if after > newest:
            return f"position {after} is ahead of this history, which is at {newest}"
        if after + 1 < oldest:
            return f"what came between position {after} and {oldest} is not kept any more"
        return None

    async def pages(self, follower: Follower) -> AsyncIterator[list[Change]]:
        """Yield what one reader is behind the others, until it can join them without a gap."""
        while not self._stopping and not self._has_reached(follower):
            found = await self._read(follower)
            yield found
            if len(found) < _PAGE:
                if self._follower is None:
                    return
                await asyncio.sleep(LOOK_EVERY)

    def _has_reached(self, follower: Follower) -> bool:
        return self._follower is not None and follower.after >= self._follower.after

    @contextmanager
    def joined(self, follower: Follower, wanted: Wanted) -> Iterator[Reader[Change]]:
        """Give a reader what it wants from now on; its follower is read no further by itself.

        It must have caught up: nothing may be awaited since `pages` ended. Changes up to its own
        position may come a second time.
        """
        reader: Reader[Change] = Reader()
        if self._stopping:
            reader.end(STOPPING)
        self._readers[reader] = wanted
        if self._following is None:
            self._follower, self.told = follower, follower.after
            self._following = asyncio.create_task(self._follow(follower), name="follow changes")
        try:
            yield reader
        finally:
            self._readers.pop(reader, None)

    async def _read(self, follower: Follower) -> list[Change]:
        """Read on, or nothing while the database is away."""
        try:
            async with borrowed(self._pool) as connection:
                return await follower.read(connection, limit=_PAGE)
        except StorageUnavailable as error:
            log.warning("changes not read", error=error.detail)
            await asyncio.sleep(_AFTER_TROUBLE)
            return []

    async def _follow(self, follower: Follower) -> None:
        try:
            while self._readers:
                found = await self._read(follower)
                for change in found:
                    # Who does not want it is not woken: a thousand that wake hold up all others.
                    for reader, wanted in self._readers.items():
                        if wanted.includes(change):
                            reader.offer(change)
                    self.told = change.position
                await asyncio.sleep(LOOK_EVERY if len(found) < _PAGE else 0)
        except Exception:
            log.exception("following changes failed in an unforeseen way")
            for reader in self._readers:
                reader.end(FAULT)
        finally:
            self._follower = self._following = None

    def let_go(self) -> None:
        """End every reader, and whoever comes: this process stops."""
        self._stopping = True
        for reader in self._readers:
            reader.end(STOPPING)

    async def close(self) -> None:
        """Stop following."""
        self.let_go()
        if self._following is not None:
            await end(self._following)


@asynccontextmanager
async def open_stream(pool: Pool) -> AsyncIterator[Stream]:
    """Serve readers as long as it is open."""
    stream = Stream(pool)
    try:
        yield stream
    finally:
        await stream.close()
