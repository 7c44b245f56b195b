"""A Celery result backend over the tasks' own rows.

    app = Celery(result_backend="taskyard+postgresql://user:password@host/name")
    app.AsyncResult(task_id).get()

It only reads: what workers have to say they have said in Postgres before Celery hears of it. Where
results are encrypted, `app.conf.taskyard_encryption_keys` is TASKYARD_ENCRYPTION_KEYS once more.
"""

from typing import Any
from uuid import UUID

import psycopg
import structlog
from celery import states
from celery.backends.base import BaseBackend
from celery.exceptions import NotRegistered, TaskRevokedError

from taskyard.core.circumstances import LACKS_TYPE
from taskyard.core.sealed import parse_keys
from taskyard.core.states import CELERY_STATES, State
from taskyard.core.task import TaskId
from taskyard.storage import attempts
from taskyard.storage.attempts import Outcome
from taskyard.storage.sealing import KeyRing
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

KEYS = "taskyard_encryption_keys"


class TaskFailed(Exception):
    """What `AsyncResult.get()` raises for a task that failed: its stored code and message."""


class TaskyardBackend(BaseBackend):
    """State and result of a task, as Celery's AsyncResult asks for them."""

    supports_native_join = False
    supports_autoexpire = True
    persistent = True

    def __init__(self, url: str | None = None, **kwargs: Any) -> None:
        super().__init__(url=url, **kwargs)
        self._runtime = Runtime(database_url=url or "", worker="result backend", ring=self._ring())

    def _ring(self) -> KeyRing:
        """Return the keys of the worker around us, or those that its setting names."""
        around: Runtime | None = getattr(self.app, "taskyard", None)
        return around.ring if around else KeyRing(parse_keys(self.app.conf.get(KEYS, "")))

    def close(self) -> None:
        """Close the connection; it opens again when something is asked."""
        self._runtime.close()

    def _get_task_meta_for(self, task_id: str) -> dict[str, Any]:
        outcome = self._read(task_id)
        if outcome is None:
            return {"status": states.PENDING, "result": None, "task_id": task_id}
        return {
            "task_id": task_id,
            "name": outcome.type,
            "status": CELERY_STATES[State(outcome.state)],
            "result": _result(outcome),
            "traceback": (outcome.error or {}).get("traceback"),
            "date_done": outcome.finished_at,
            "retries": max(0, outcome.attempt - 1),
            "children": [],
        }

    def _read(self, task_id: str) -> Outcome | None:
        try:
            wanted = UUID(task_id)
        except ValueError:
            return None
        try:
            return attempts.read_outcome(self._runtime.cursor(), wanted)
        except psycopg.OperationalError:  # the connection was lost since; a new one may do
            return attempts.read_outcome(self._runtime.cursor(), wanted)

    def _store_result(self, task_id: str, result: Any, state: str, *_: Any, **__: Any) -> Any:
        """Store nothing: the task did, before Celery heard of it."""
        return result

    def mark_as_failure(
        self, task_id: str, exc: BaseException, traceback: Any = None, **kwargs: Any
    ) -> Any:
        """Give a task back that reached a worker which does not know its type.

        That happens while a new version is rolled out: another worker may know it already.
        """
        request = kwargs.get("request")
        if isinstance(exc, NotRegistered) and request is not None:
            self._runtime.durably(
                lambda cursor: attempts.give_back(
                    cursor, TaskId(UUID(task_id)), request.name, LACKS_TYPE
                )
            )

    def _forget(self, task_id: str) -> None:
        raise NotImplementedError("results are kept for their retention; they cannot be forgotten")


def _result(outcome: Outcome) -> Any:
    """Return the result, or the exception that `get()` raises."""
    match State(outcome.state):
        case State.FAILED | State.QUARANTINED | State.RETRYING:
            error = outcome.error or {}
            return TaskFailed(f"{error.get('code')}: {error.get('message')}")
        case State.CANCELLED | State.EXPIRED:
            return TaskRevokedError(outcome.state)
        case _:
            return outcome.result
