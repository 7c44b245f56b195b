"""What a worker process has at hand: its name, the routing table and a connection."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import psycopg
import structlog
from celery.exceptions import Reject
from kombu.utils.functional import retry_over_time

from taskyard.core.routing import RoutingTable
from taskyard.storage.pool import Connection, Cursor, connect_sync
from taskyard.storage.sealing import NO_KEYS, KeyRing

if TYPE_CHECKING:
    from taskyard.worker.asyncio_loop import LoopThread
    from taskyard.worker.group_commit import GroupCommit
    from taskyard.worker.request import AttemptRequest

log = structlog.get_logger(__name__)

T = TypeVar("T")

# A plan for each call would cost more than what it plans: all is found by id (measured).
_GENERIC = "force_generic_plan"
_GIVE_UP_AFTER = 60.0


@dataclass(slots=True)
class Tally:
    """What the keeper of this worker has counted; `beat_at` is on the monotonic clock."""

    beats: int = 0
    beat_at: float = 0.0
    lost: int = 0
    killed: int = 0


class Runtime:
    """One connection to Postgres for each process and thread, opened after the fork.

    `worker` names this run of this worker: a name that a restart changes, so that nobody can end
    the attempts of its predecessor or successor. `active` holds, in the parent process, what its
    children run, and `owed` what it has yet to write of those it lost. `group` claims and finishes
    for all threads of a process that has many.
    """

    def __init__(
        self,
        *,
        database_url: str,
        worker: str,
        pool: str = "",
        table: RoutingTable | None = None,
        ring: KeyRing = NO_KEYS,
    ) -> None:
        self.worker = worker
        self.pool = pool
        self.table = table or RoutingTable(pools={}, defaults={})
        self.database_url = database_url
        self.ring = ring
        self.active: dict[int, AttemptRequest] = {}
        self.owed: deque[Callable[[Cursor], object]] = deque()
        self.group: GroupCommit | None = None
        self.loop: LoopThread | None = None  # in a pool of coroutines
        self.began_at = time.monotonic()  # the latest attempt
        self.idle_until = 0.0  # when something began to run, and nothing did before
        self.tally = Tally()
        self._local = threading.local()
        # A connection inherited over a fork is kept, not closed: closing it would say goodbye to
        # the server on the parent's socket.
        self._inherited: list[Cursor] = []

    def cursor(self) -> Cursor:
        """Return the cursor of this process and thread. Raises OperationalError.

        One for all statements: a cursor for each costs a third of a small statement's time.
        """
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is not None and self._local.pid != os.getpid():
            self._inherited.append(cursor)
            cursor = None
        if cursor is None or cursor.connection.closed:
            connection = connect_sync(
                self.database_url, name=f"worker {self.worker}", ring=self.ring, plans=_GENERIC
            )
            cursor = self._local.cursor = connection.cursor()
            self._local.pid = os.getpid()
        return cursor

    def effects_connection(self) -> Connection:
        """Return a second connection of this process and thread, for the finishing transaction.

        It commits only when told to. Raises OperationalError.
        """
        connection: Connection | None = getattr(self._local, "effects", None)
        if connection is None or self._local.effects_pid != os.getpid() or connection.closed:
            connection = connect_sync(
                self.database_url, name=f"effects {self.worker}", ring=self.ring
            )
            connection.autocommit = False
            self._local.effects, self._local.effects_pid = connection, os.getpid()
        return connection

    def close(self) -> None:
        """Close the connection of this process and thread."""
        cursor: Cursor | None = getattr(self._local, "cursor", None)
        if cursor is not None and self._local.pid == os.getpid():
            cursor.connection.close()

    def durably(self, write: Callable[[Cursor], T]) -> T:
        """Do a write, again and again while the database is away.

        Raises Reject, which gives the wake-up back to the broker, when it stays away.
        """
        return self.aside(lambda: self._durably(write))

    def aside(self, function: Callable[[], T]) -> T:
        """Do what blocks, where it holds up no other task."""
        return function() if self.loop is None else self.loop.aside(function)

    def answer(self, future: Future[T]) -> T:
        """Wait for a future, and hold up no other task."""
        return future.result() if self.loop is None else self.loop.answer(future)

    async def beside(self, function: Callable[[], T]) -> T:
        """Do what blocks for a coroutine: in a thread where others share its loop."""
        if self.loop is None or not self.loop.is_here():
            return function()
        return await self.loop.run(function)

    def _durably(self, write: Callable[[Cursor], T]) -> T:
        try:
            return write(self.cursor())
        except psycopg.OperationalError as error:
            log.warning("database unavailable", error=str(error).strip())
            return self._persist(write)

    def _persist(self, write: Callable[[Cursor], T]) -> T:
        def attempt() -> T:
            return write(self.cursor())

        try:
            done: T = retry_over_time(
                attempt,
                psycopg.OperationalError,
                errback=self._say,
                interval_start=0.1,
                interval_step=0.5,
                interval_max=5.0,
                timeout=_GIVE_UP_AFTER,
            )
        except psycopg.OperationalError as error:
            raise Reject(str(error), requeue=True) from error
        return done

    @staticmethod
    def _say(error: Exception, intervals: object, retries: int, interval: float = 0) -> float:
        log.warning("database unavailable", error=str(error).strip(), retries=retries)
        return float(next(intervals))  # type: ignore[call-overload]
