"""What the parent process knows of an attempt, and does when it loses the child that ran it."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import structlog
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts
from taskyard.storage.pool import Cursor
from taskyard.worker.asyncio_turn import Turn
from taskyard.worker.outcome import Failed, again_or_failed
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)


class AttemptRequest(Request):
    """Celery's Request, which also ends in Postgres what a killed child could not end itself.

    `leased` and `missed` are the keeper's: whether it saw a lease, and how many beats it saw none.
    """

    leased = False
    missed = 0

    @property
    def task_id(self) -> TaskId:
        """The id of the task."""
        return TaskId(UUID(self.id))

    def kill(self) -> bool:
        """Kill the child that runs this attempt, or cancel its coroutine, unless it has ended.

        Returns False for what cannot be killed.
        """
        if id(self) not in self._runtime.active or not self.worker_pid:
            return True
        if (turn := self._turn) is not None:
            return turn.kill()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.worker_pid, signal.SIGKILL)
        return True

    def interrupt(self) -> None:
        """Tell a coroutine that its task was cancelled; in other pools it is for it to ask."""
        if (turn := self._turn) is not None:
            turn.interrupt()

    @property
    def _turn(self) -> Turn | None:
        turn = self._apply_result() if self._apply_result is not None else None
        return turn if isinstance(turn, Turn) else None

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """A child has begun: from now on its lease is kept."""
        super().on_accepted(pid, time_accepted)
        self._runtime.began_at = time.monotonic()
        if not self._runtime.active:
            self._runtime.idle_until = self._runtime.began_at
        self._runtime.active[id(self)] = self

    def acknowledge(self) -> None:
        """The attempt has ended. Celery overrides `on_success` in the class it makes of this."""
        self._runtime.active.pop(id(self), None)
        super().acknowledge()

    def reject(self, requeue: bool = False) -> None:
        """The attempt has ended, and its wake-up goes elsewhere."""
        self._runtime.active.pop(id(self), None)
        super().reject(requeue)

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """End the attempt before Celery acknowledges the message."""
        if not soft:
            failure = Failure(code="timed-out", message=f"killed after {timeout} s")
            self._end(lambda cursor: self._timed_out(cursor, failure))
        super().on_timeout(soft, timeout)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """End the attempt before Celery acknowledges the message, when its process died."""
        self._runtime.active.pop(id(self), None)
        error = getattr(exc_info.exception, "exc", exc_info.exception)
        if isinstance(error, WorkerLostError | SystemExit):
            self._end(self._crashed)
        elif isinstance(error, MemoryError):
            # Celery takes it for its own and stops the worker. The child has survived it.
            exc_info.exception = RuntimeError(f"the task ran out of memory: {error}")
        return super().on_failure(exc_info, send_failed_event, return_ok)

    @property
    def _runtime(self) -> Runtime:
        runtime: Runtime = self._app.taskyard
        return runtime

    def _end(self, write: Callable[[Cursor], None]) -> None:
        """Write at once; while the database is away, leave it to the keeper.

        The first try may find a connection that was lost while nobody used it.
        """
        for _ in range(2):
            try:
                write(self._runtime.cursor())
            except psycopg.OperationalError as error:
                log.warning("database unavailable", error=str(error).strip())
            else:
                return
        self._runtime.owed.append(write)

    def _crashed(self, cursor: Cursor) -> None:
        failure = Failure(code="worker-lost", message="its worker process died")
        attempts.take_back(
            cursor, [self.task_id], worker=self._runtime.worker, failure=failure, crashed=True
        )

    def _timed_out(self, cursor: Cursor, failure: Failure) -> None:
        lost = attempts.find_lost(cursor, self.task_id, self._runtime.worker)
        if lost is None:
            return
        outcome = again_or_failed(
            failure,
            errors=lost.errors + 1,
            max_attempts=lost.max_attempts,
            policy=self._runtime.table.defaults_for(self.name).retry,
            jitter=random.random(),  # noqa: S311 - it spreads load, it guards nothing
        )
        if isinstance(outcome, Failed):
            attempts.fail(cursor, lost, failure)
        else:
            attempts.retry(cursor, lost, failure, outcome.delay)
