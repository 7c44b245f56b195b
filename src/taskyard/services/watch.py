"""Watch: what single tasks do and say, to however many readers, asked in one statement for all."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import structlog

from taskyard.core.errors import StorageUnavailable
from taskyard.core.task import TaskId
from taskyard.services.readers import FAULT, STOPPING, Reader
from taskyard.services.watched import Item, Watched, end_readers, in_order, is_behind, tell
from taskyard.stopping import end
from taskyard.storage import streams
from taskyard.storage.pool import Pool, borrowed
from taskyard.storage.streams import Known, Look, News

log = structlog.get_logger(__name__)

LOOK_EVERY = 0.25  # seconds
_AFTER_TROUBLE = 1.0

REMOVED = "the task was removed"


class Watch:
    """The readers of single tasks in this process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._watched: dict[TaskId, Watched] = {}
        self._looking: asyncio.Task[None] | None = None
        self._stopping = False

    def __len__(self) -> int:
        return sum(len(watched.readers) for watched in self._watched.values())

    async def look(self, task_id: TaskId, known: Known) -> tuple[Look, list[Item]] | None:
        """Return how a task stands and what is new behind what is known; None: no such task."""
        async with borrowed(self._pool) as connection:
            look = (await streams.look_at(connection, [task_id])).get(task_id)
            if look is None:
                return None
            found = await streams.news(connection, {task_id: known})
        return look, in_order(found[task_id], look.progress)

    @contextmanager
    def joined(self, task_id: TaskId, known: Known, look: Look) -> Iterator[Reader[Item]]:
        """Give a reader what is new behind `known`. Some may come that it knows."""
        reader: Reader[Item] = Reader()
        if self._stopping:
            reader.end(STOPPING)
        watched = self._watched.setdefault(task_id, Watched(known, look.progress))
        watched.known = Known(*map(min, watched.known, known))
        watched.readers.add(reader)
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="look at watched tasks")
        try:
            yield reader
        finally:
            watched.readers.discard(reader)
            if not watched.readers and self._watched.get(task_id) is watched:
                del self._watched[task_id]

    async def _look(self) -> None:
        try:
            while self._watched:
                try:
                    await self._tell()
                except StorageUnavailable as error:
                    log.warning("watched tasks not read", error=error.detail)
                    await asyncio.sleep(_AFTER_TROUBLE)
                await asyncio.sleep(LOOK_EVERY)
        except Exception:
            log.exception("looking at tasks failed in an unforeseen way")
            self._end_all(FAULT)
        finally:
            self._looking = None

    async def _tell(self) -> None:
        """Look at all tasks that have readers, and tell them what is new."""
        async with borrowed(self._pool) as connection:
            looks = await streams.look_at(connection, list(self._watched))
            known = {
                each: watched.known
                for each, watched in self._watched.items()
                if (look := looks.get(each)) and is_behind(watched.known, look)
            }
            found = await streams.news(connection, known)
        for task_id, watched in list(self._watched.items()):
            if (look := looks.get(task_id)) is None:
                end_readers(watched, REMOVED)
            # Who joined meanwhile may know less than what was asked for: the next look is for it.
            elif watched.known == known.get(task_id, watched.known):
                tell(watched, look, found.get(task_id, News((), ())))

    def _end_all(self, why: str) -> None:
        for watched in self._watched.values():
            end_readers(watched, why)

    def let_go(self) -> None:
        """End every reader, and whoever comes: this process stops."""
        self._stopping = True
        self._end_all(STOPPING)

    async def close(self) -> None:
        """Stop looking."""
        self.let_go()
        if self._looking is not None:
            await end(self._looking)


@asynccontextmanager
async def open_watch(pool: Pool) -> AsyncIterator[Watch]:
    """Serve readers as long as it is open."""
    watch = Watch(pool)
    try:
        yield watch
    finally:
        await watch.close()
