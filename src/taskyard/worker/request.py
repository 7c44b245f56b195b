"""What the parent process does when it loses the child that ran an attempt."""

import random
from typing import Any
from uuid import UUID

import psycopg
import structlog
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts
from taskyard.worker.outcome import Failed, again_or_failed
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)


class AttemptRequest(Request):
    """Celery's Request, which also ends in Postgres what a killed child could not end itself."""

    def on_timeout(self, soft: bool, timeout: float) -> None:
        """End the attempt before Celery acknowledges the message."""
        if not soft:
            self._child_lost(Failure(code="timed-out", message=f"killed after {timeout} s"))
        super().on_timeout(soft, timeout)

    def on_failure(
        self, exc_info: Any, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        """End the attempt before Celery acknowledges the message, when its process died."""
        error = exc_info.exception
        if isinstance(getattr(error, "exc", error), WorkerLostError | SystemExit):
            self._child_lost(Failure(code="worker-lost", message="its worker process died"))
        return super().on_failure(exc_info, send_failed_event, return_ok)

    def _child_lost(self, failure: Failure) -> None:
        runtime: Runtime = self._app.taskyard
        task_id = TaskId(UUID(self.id))
        try:
            cursor = runtime.cursor()
            lost = attempts.find_lost(cursor, task_id, runtime.worker)
            if lost is None:
                return
            token, attempt, max_attempts = lost
            outcome = again_or_failed(
                failure,
                attempt=attempt,
                max_attempts=max_attempts,
                policy=runtime.table.defaults_for(self.name).retry,
                jitter=random.random(),  # noqa: S311 - it spreads load, it guards nothing
            )
            if isinstance(outcome, Failed):
                attempts.fail(cursor, task_id, token, failure)
            else:
                attempts.retry(cursor, task_id, token, failure, outcome.delay)
        except psycopg.Error as error:
            log.error("lost attempt not recorded", task_id=self.id, error=str(error))
