"""The keeper: a thread of the worker's parent process that keeps its leases.

Only what a child runs at this moment is extended. So a claim that nobody knows of runs out, and
so does everything when the parent is gone. A child cannot do it: an endless loop in a C library
would stop its heartbeat, and a thread of a dead task would go on beating.
"""

import os
import signal
import threading
import time

import psycopg
import structlog

from taskyard.core.routing import Execution, Pool
from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts, workers
from taskyard.storage.attempts import Held
from taskyard.storage.listen import STOP
from taskyard.storage.pool import Connection, Cursor, connect_sync
from taskyard.worker.outcome import OVERDUE
from taskyard.worker.request import AttemptRequest
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

_BEAT = 5.0  # seconds between heartbeats: two may be missed before a lease of 15 s is gone
_SOON = 1.0  # seconds until another look at what seems to have lost its lease
_LOOK = 0.5  # seconds between looks at what the main thread has asked for
_OVERDUE_GRACE = 5.0  # seconds past its deadline that a task may clean up
# A lease that was seen and is gone at two looks is lost; a claim may still be on its way.
_MISSED_AT_MOST, _CLAIM_MAY_TAKE = 2, 3

_DRAINED = Failure(code="drained", message="its worker was told to stop and did not wait longer")


class Keeper:
    """Extends the leases of what runs here, and stops what should stop."""

    def __init__(self, runtime: Runtime, pool: Pool) -> None:
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)
        self._runtime = runtime
        self._pool = pool
        self._kills = pool.execution is not Execution.THREADS
        self._ended = threading.Event()
        self._drains_at: float | None = None
        self._told: set[str] = set()
        self._leaves = False

    def start(self) -> None:
        """Start the thread, once the children are forked."""
        self._thread.start()

    def drain(self, within: float) -> None:
        """Give back what still runs so many seconds from now, and kill it."""
        self._drains_at = time.monotonic() + within

    def end(self) -> None:
        """Let the thread end, and wait for it."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(2.0)

    def _run(self) -> None:
        """Keep until told to end; the database being away is no reason to stop."""
        while not self._ended.is_set():
            try:
                name = f"keeper {self._runtime.worker}"
                url, ring = self._runtime.database_url, self._runtime.ring
                with connect_sync(url, name=name, ring=ring) as connection:
                    connection.execute(f"LISTEN {STOP}".encode())
                    self._keep(connection)
            except psycopg.Error as error:
                log.warning("leases not extended", error=str(error).strip())
                self._ended.wait(_SOON)
            except Exception:
                log.exception("keeping leases failed in an unforeseen way")
                self._ended.wait(_SOON)

    def _keep(self, connection: Connection) -> None:
        with connection.cursor() as cursor:
            next_beat = next_word = 0.0
            while not self._ended.is_set():
                if time.monotonic() >= next_word:
                    next_word = time.monotonic() + _BEAT
                    self._say_alive(cursor)
                if self._drains_at is not None and time.monotonic() >= self._drains_at:
                    self._give_back(cursor)
                self._write_what_is_owed(cursor)
                if time.monotonic() >= next_beat:
                    next_beat = time.monotonic() + self._beat(cursor)
                wait = min(_LOOK, max(0.0, next_beat - time.monotonic()))
                for heard in connection.notifies(timeout=wait, stop_after=1):
                    if any(heard.payload == each.id for each in self._active()):
                        next_beat = 0.0
                    if heard.payload == self._runtime.worker:
                        next_word = 0.0
            workers.say_farewell(cursor, self._runtime.worker)

    def _say_alive(self, cursor: Cursor) -> None:
        """Tell that this worker lives; if it was asked to leave, it does as if told by a signal."""
        name, pool = self._runtime.worker, self._pool
        asked = workers.say_alive(cursor, name, pool=pool.name, slots=pool.concurrency)
        # A second signal would stop it at once.
        if asked and not self._leaves and self._drains_at is None:
            self._leaves = True
            log.info("asked to drain", worker=name)
            os.kill(os.getpid(), signal.SIGTERM)

    def _write_what_is_owed(self, cursor: Cursor) -> None:
        while self._runtime.owed:
            self._runtime.owed[0](cursor)
            self._runtime.owed.popleft()

    def _active(self) -> list[AttemptRequest]:
        return list(self._runtime.active.values())

    def _beat(self, cursor: Cursor) -> float:
        """Extend what runs; return the seconds until the next beat."""
        active = self._active()
        if not active:
            return _LOOK
        ids = sorted({each.task_id for each in active})
        held = attempts.extend_leases(cursor, ids, self._runtime.worker)
        tally = self._runtime.tally
        tally.beats, tally.beat_at = tally.beats + 1, time.monotonic()
        waits = [self._look_after(cursor, each, held.get(each.task_id)) for each in active]
        return max(0.0, min([_BEAT, *waits]))

    def _look_after(self, cursor: Cursor, request: AttemptRequest, held: Held | None) -> float:
        """Stop an attempt that must stop; return the seconds until the next look at it."""
        if held is None:
            return self._miss(request)
        request.leased, request.missed = True, 0
        waits = [_BEAT]
        if held.cancelled_for is not None:
            request.interrupt()
            grace = self._runtime.table.defaults_for(request.name).cancel_grace.total_seconds()
            waits.append(grace - held.cancelled_for)
        if held.overdue_by is not None:
            waits.append(_OVERDUE_GRACE - held.overdue_by)
        if min(waits) <= 0.0:
            self._stop(cursor, request)
            return _BEAT
        return min(waits)

    def _miss(self, request: AttemptRequest) -> float:
        request.missed += 1
        if request.missed >= (_MISSED_AT_MOST if request.leased else _CLAIM_MAY_TAKE):
            self._runtime.tally.lost += request.leased and request.missed == _MISSED_AT_MOST
            self._kill(request, why="its lease is gone")
            return _BEAT
        return _SOON if request.leased else _BEAT

    def _stop(self, cursor: Cursor, request: AttemptRequest) -> None:
        """End an attempt in Postgres, then its process: the other way round it would be a crash."""
        if not self._kills or self._take_back(cursor, [request.task_id], OVERDUE):
            self._kill(request, why="it did not stop when asked")

    def _take_back(self, cursor: Cursor, ids: list[TaskId], failure: Failure) -> int:
        worker = self._runtime.worker
        return len(attempts.take_back(cursor, ids, worker=worker, failure=failure, crashed=False))

    def _kill(self, request: AttemptRequest, *, why: str) -> None:
        if self._kills and request.kill():
            log.warning("attempt killed", task_id=request.id, why=why)
            self._runtime.tally.killed += 1
        elif request.id not in self._told:
            self._told.add(request.id)
            log.warning("attempt goes on: threads cannot be killed", task_id=request.id, why=why)

    def _give_back(self, cursor: Cursor) -> None:
        """The drain is over: what still runs is due again at once, on another worker."""
        self._drains_at = time.monotonic() + _BEAT
        active = self._active()
        taken = self._take_back(cursor, [each.task_id for each in active], _DRAINED)
        log.warning("drain is over", given_back=taken)
        for each in active:
            self._kill(each, why="the drain is over")
