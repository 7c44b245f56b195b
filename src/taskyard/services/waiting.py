"""Wait: whoever waits for the end of a task is told of it, however many they are.

One listening connection hears all ends, and one statement reads as many tasks as ended meanwhile.
Who waits is a future in a dictionary: no thread, no timer of ours and no poll.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import islice
from uuid import UUID

import structlog

from taskyard.core.errors import StorageUnavailable
from taskyard.core.task import Task, TaskId
from taskyard.stopping import end
from taskyard.storage import listen, tasks, waiting
from taskyard.storage.pool import OwnPool, Pool, borrowed

log = structlog.get_logger(__name__)

LONGEST_WAIT = 60  # seconds; proxies cut longer silences

_ROWS_AT_ONCE = 100  # a result may have a mebibyte
_AFTER_TROUBLE = 1.0

Ended = asyncio.Future[Task | None]


class Waiting:
    """Those who wait in this process, by the task they wait for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waiting: dict[TaskId, set[Ended]] = {}
        self._heard: set[TaskId] = set()
        self._arrived = asyncio.Event()
        self._let_go = False

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def expect(self, task_id: TaskId) -> Iterator[Ended]:
        """Register interest in the end of a watched task. Do it before you look at its row.

        The future becomes the ended task, or None when this process stops.
        """
        ended: Ended = asyncio.get_running_loop().create_future()
        if self._let_go:
            ended.set_result(None)
        self._waiting.setdefault(task_id, set()).add(ended)
        try:
            yield ended
        finally:
            others = self._waiting.get(task_id, set())
            others.discard(ended)
            if not others:
                self._waiting.pop(task_id, None)

    def let_go(self) -> None:
        """Answer all who wait now, and whoever comes, with what there is: this process stops."""
        self._let_go = True
        for task_id in list(self._waiting):
            self._tell(task_id, None)

    def hear(self, task_id: TaskId | None) -> None:
        """Take note that a task has ended; None: that any may have, unheard."""
        heard = self._waiting if task_id is None else {task_id} & self._waiting.keys()
        self._heard.update(heard)
        self._arrived.set()

    async def listen(self, database_url: str) -> None:
        """Hear of ends, for ever."""
        async for heard in listen.listen(database_url, listen.ENDED, name="api waiting"):
            self.hear(TaskId(UUID(heard.payload)) if heard.payload else None)

    async def look(self) -> None:
        """Read what was heard of, and tell who waits for it, for ever."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while ids := list(islice(self._heard, _ROWS_AT_ONCE)):
                self._heard.difference_update(ids)
                try:
                    async with borrowed(self._pool) as connection:
                        found = await waiting.find_ended(connection, ids)
                except StorageUnavailable as error:
                    log.warning("ended tasks not read", error=error.detail)
                    self._heard.update(ids)
                    await asyncio.sleep(_AFTER_TROUBLE)
                else:
                    for task_id, task in found.items():
                        self._tell(task_id, task)

    def _tell(self, task_id: TaskId, task: Task | None) -> None:
        for ended in self._waiting.get(task_id, ()):
            if not ended.done():
                ended.set_result(task)


async def within(seconds: float, ended: Ended) -> Task | None:
    """Return the task once it has ended; None when that takes longer, or this process stops.

    None at once when it cannot be read: who reads it then hears why.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await ended
    return None


async def at_its_end(
    pool: OwnPool, everybody: Waiting, task_id: TaskId, *, seconds: float
) -> Task | None:
    """Return a task once it has ended, or as it stands after so many seconds, or None."""
    with everybody.expect(task_id) as ended:
        async with borrowed(pool) as connection:
            task = await waiting.watch(connection, task_id)
        if task is None or task.finished_at is not None:
            return task
        if (task := await within(seconds, ended)) is not None:
            return task
    async with borrowed(pool) as connection:
        return await tasks.get(connection, task_id)


@asynccontextmanager
async def open_waiting(pool: Pool, database_url: str) -> AsyncIterator[Waiting]:
    """Hear and tell as long as it is open."""
    everybody = Waiting(pool)
    duties = [
        asyncio.create_task(everybody.listen(database_url), name="listen for ends"),
        asyncio.create_task(everybody.look(), name="read what ended"),
    ]
    try:
        yield everybody
    finally:
        everybody.let_go()
        await end(*duties)
