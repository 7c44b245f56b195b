"""Group commit: submissions that arrive together share one INSERT and one wait for the disk."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import psycopg
import structlog

from taskyard.core.errors import (
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    StorageUnavailable,
    TaskyardError,
)
from taskyard.core.routing import RoutingTable
from taskyard.core.task import Accepted, NewTask, TaskId
from taskyard.services.admission import Admission
from taskyard.services.backlog import Backlog
from taskyard.services.backlog_bounds import NOWHERE
from taskyard.services.commits import tell_commit
from taskyard.services.fresh import FreshWakeUps
from taskyard.stopping import end
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

Stored = Accepted | TaskyardError

_MOST_WAITING = 10_000
_MOST_BATCHED = 100_000  # tasks of all batches that are being stored
_ROWS_PER_INSERT = 500
_WRITERS = 2  # while one waits for the disk, the other gathers
_TRIES_AFTER_BREAK = 10  # a pool may hold as many connections that a restart of the server broke


class Intake:
    """Stores submissions durably, and sends what was stored on its way.

    A bad row never fails its neighbours. Nothing here depends on the caller's patience: a client
    that hangs up cancels its request's coroutine, but not the commit, nor what follows it.
    """

    def __init__(
        self,
        pool: Pool,
        fresh: FreshWakeUps,
        admission: Admission,
        *,
        on_commit: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._pool = pool
        self._on_commit = on_commit
        self._admission = admission
        self._fresh = fresh
        self._waiting: deque[tuple[NewTask, asyncio.Future[Stored]]] = deque()
        self._arrived = asyncio.Event()
        self._batched = 0

    async def store(self, task: NewTask) -> Accepted:
        """Store one submission; returns once it is committed.

        Raises BacklogFull, NotFeasible, Overloaded and StorageUnavailable when it was not stored,
        and OutcomeUnknown when the connection broke during the commit and the database stayed away.
        """
        if len(self._waiting) >= _MOST_WAITING:
            raise Overloaded("too many submissions wait for the database; try again in a second")
        task = await self._admission.let_in(task)
        stored: asyncio.Future[Stored] = asyncio.get_running_loop().create_future()
        self._waiting.append((self._fresh.held(task), stored))
        self._arrived.set()
        outcome = await stored
        if isinstance(outcome, TaskyardError):
            raise outcome
        return outcome

    async def store_batch(self, tasks: Sequence[NewTask]) -> list[Stored]:
        """Store many submissions; return in order what became of each.

        Raises BacklogFull when the backlog takes none of them, and Overloaded when too many batches
        are being stored.
        """
        if self._batched and self._batched + len(tasks) > _MOST_BATCHED:
            raise Overloaded("too many batches wait for the database; try again in a second")
        found = await self._admission.let_in_many(tasks)
        admitted = [each for each in found if isinstance(each, NewTask)]
        self._batched += len(tasks)
        try:
            outcomes = iter(await self._store_all(admitted))
        finally:
            self._batched -= len(tasks)
        return [next(outcomes) if isinstance(each, NewTask) else each for each in found]

    async def _store_all(self, tasks: Sequence[NewTask]) -> list[Stored]:
        outcomes: list[Stored] = []
        for start in range(0, len(tasks), _ROWS_PER_INSERT):
            rows = [self._fresh.held(task) for task in tasks[start : start + _ROWS_PER_INSERT]]
            part = asyncio.ensure_future(self._insert(rows))
            outcomes += await asyncio.shield(part)
        return outcomes

    @property
    def backlog(self) -> Backlog:
        """The backlog that what is stored goes to."""
        return self._admission.backlog

    async def write(self) -> None:
        """Store what waits, as much at once as there is. Never returns."""
        while True:
            await self._arrived.wait()
            count = min(len(self._waiting), _ROWS_PER_INSERT)
            batch = [self._waiting.popleft() for _ in range(count)]
            if not self._waiting:
                self._arrived.clear()
            if batch:
                outcomes = await self._insert_whatever_comes([task for task, _ in batch])
                for (_, stored), outcome in zip(batch, outcomes, strict=True):
                    if not stored.done():  # the caller may have gone
                        stored.set_result(outcome)

    async def _insert_whatever_comes(self, tasks: Sequence[NewTask]) -> list[Stored]:
        """A fault of ours must not end the writer: everybody after would wait for ever."""
        try:
            return await self._insert(tasks)
        except Exception:
            log.exception("storing failed in an unforeseen way", tasks=len(tasks))
            return [OutcomeUnknown("a fault of ours while storing; it was logged")] * len(tasks)

    async def _insert(self, tasks: Sequence[NewTask]) -> list[Stored]:
        began = time.time_ns()
        try:
            async with borrowed(self._pool) as connection:
                try:
                    stored = await tasks_table.insert(connection, tasks)
                except psycopg.OperationalError as error:
                    if not connection.broken:  # it was refused whole: a lock, a time limit
                        raise StorageUnavailable("the database is too busy; try again") from error
                    return await self._insert_again(tasks)
        except StorageUnavailable as error:
            return [error] * len(tasks)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return await self._insert_apart(tasks, error)
        except psycopg.Error as error:
            log.exception("submissions could not be stored")
            refusal = StorageUnavailable(f"the database refused to store: {type(error).__name__}")
            return [refusal] * len(tasks)
        tell_commit(tasks, began=began)
        return self._stored(tasks, stored)

    def _stored(
        self, tasks: Sequence[NewTask], stored: Mapping[TaskId, tasks_table.Stored]
    ) -> list[Stored]:
        self._on_commit(len(tasks))
        outcomes = [stored[task.id] for task in tasks]
        pairs = zip(tasks, outcomes, strict=True)
        # A repeat is an outcome as well, of a task that is on its way already.
        self._fresh.forward((task, new) for task, new in pairs if type(new) is Accepted)
        return [*outcomes]

    async def _insert_apart(self, tasks: Sequence[NewTask], error: psycopg.Error) -> list[Stored]:
        """One of them is bad, and the database refused them all: find out which."""
        if len(tasks) == 1:
            log.warning("a submission was refused by the database", error=str(error))
            return [InvalidRequest("the database cannot store these values")]
        half = len(tasks) // 2
        return await self._insert(tasks[:half]) + await self._insert(tasks[half:])

    async def _insert_again(self, tasks: Sequence[NewTask]) -> list[Stored]:
        """The connection broke: what was committed after all is found by its id, not stored twice.

        An INSERT of an id whose commit is still under way waits for the outcome of that commit.
        """
        for _ in range(_TRIES_AFTER_BREAK):
            try:
                async with borrowed(self._pool) as connection:
                    stored = await tasks_table.insert(connection, tasks)
            except (StorageUnavailable, psycopg.Error) as error:
                log.warning("storing again failed", error=str(error).strip())
            else:
                return self._stored(tasks, stored)
        unknown = OutcomeUnknown("the database connection broke while storing; try again")
        return [unknown] * len(tasks)


@asynccontextmanager
async def open_intake(
    pool: Pool,
    fresh: FreshWakeUps,
    *,
    largest_backlog: int,
    table: RoutingTable = NOWHERE,
    on_commit: Callable[[int], None] = lambda _: None,
) -> AsyncIterator[Intake]:
    """Open the intake. It must be left only after the last caller of `store` was answered.

    `on_commit` hears how many submissions each commit stored.
    """
    backlog = Backlog(pool, largest=largest_backlog, table=table)
    admission = Admission(pool, backlog=backlog, table=table)
    intake = Intake(pool, fresh, admission, on_commit=on_commit)
    writers = [asyncio.create_task(intake.write(), name="intake") for _ in range(_WRITERS)]
    writers.append(asyncio.create_task(backlog.watch(), name="backlog"))
    try:
        yield intake
    finally:
        await end(*writers)
