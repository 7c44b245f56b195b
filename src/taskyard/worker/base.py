"""The base of every task: claim, run, finish."""

import random
from functools import cached_property
from typing import Any, assert_never
from uuid import UUID

import celery
import msgspec
import psycopg
import structlog
from celery.exceptions import Ignore, Reject
from celery.exceptions import Retry as CeleryRetry

from taskyard.core.task import Lease, TaskId
from taskyard.storage import attempts
from taskyard.worker import signature
from taskyard.worker.current import current, running
from taskyard.worker.outcome import (
    ArgumentsDoNotFit,
    Failed,
    Permanent,
    ResultUnusable,
    Retried,
    Retry,
    judge,
)
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

_MOST_RESULT = 1024 * 1024  # bytes of JSON; files belong into a store


class TaskyardTask(celery.Task):
    """A Celery task that takes its arguments from the row it claims, and stores its own outcome.

    Celery's tracer calls it; `ignore_result` keeps Celery from storing anything a second time.
    """

    abstract = True
    acks_late = True
    ignore_result = True
    typing = False
    Request = "taskyard.worker.request:AttemptRequest"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function: just so when called directly, as a claimed attempt from a message."""
        if self.request.called_directly:
            return self.run(*args, **kwargs)
        runtime: Runtime = self.app.taskyard
        lease = runtime.durably(
            lambda cursor: attempts.claim(
                cursor, TaskId(UUID(self.request.id)), self.name, runtime.worker
            )
        )
        if lease is None:
            # Ended, cancelled, leased elsewhere or not due: a wake-up too many, harmless.
            raise Ignore
        with running(runtime, lease):
            self._perform(runtime, lease)
        return None

    def _perform(self, runtime: Runtime, lease: Lease) -> None:
        try:
            result = self._encoded(self.run(**self._bound(lease.args)))
            stored = self._store(runtime, lease, result)
        except Reject:
            raise
        except Exception as error:
            self._conclude(runtime, lease, error)
            raise
        if not stored:
            _discard(lease)

    def _store(self, runtime: Runtime, lease: Lease, result: str) -> bool:
        try:
            return runtime.durably(lambda cursor: attempts.finish(cursor, lease, result))
        except psycopg.DataError as error:  # NUL in a string, a number beyond numeric
            raise ResultUnusable(f"Postgres cannot store the result: {error}") from None

    def _conclude(self, runtime: Runtime, lease: Lease, error: Exception) -> None:
        """Store that the attempt failed, and what follows; Celery only has to log it."""
        outcome = judge(
            error,
            attempt=lease.attempt,
            max_attempts=lease.max_attempts,
            policy=runtime.table.defaults_for(self.name).retry,
            jitter=random.random(),  # noqa: S311 - it spreads load, it guards nothing
        )
        match outcome:
            case Failed(failure):
                stored = runtime.durably(
                    lambda cursor: attempts.fail(cursor, lease.id, lease.token, failure)
                )
            case Retried(failure, delay):
                stored = runtime.durably(
                    lambda cursor: attempts.retry(cursor, lease.id, lease.token, failure, delay)
                )
            case _:
                assert_never(outcome)
        if not stored:
            _discard(lease)
        if isinstance(outcome, Retried):
            raise CeleryRetry(exc=error, when=outcome.delay.total_seconds()) from error

    @cached_property
    def parameters(self) -> type[msgspec.Struct]:
        """The struct that the arguments must fit."""
        function: Any = getattr(self, "_orig_run", self.run)  # autoretry_for wraps the function
        return signature.parameters(self.name, function)

    def _bound(self, args: dict[str, Any]) -> dict[str, Any]:
        try:
            return signature.bind(self.parameters, args)
        except msgspec.ValidationError as error:
            raise ArgumentsDoNotFit(str(error)) from None

    def _encoded(self, result: Any) -> str:
        try:
            encoded = msgspec.json.encode(result)
        except (TypeError, ValueError, RecursionError) as error:
            raise ResultUnusable(f"the result is not JSON: {error}") from None
        if len(encoded) > _MOST_RESULT:
            raise ResultUnusable(
                f"the result takes {len(encoded)} bytes of at most {_MOST_RESULT}; put it into a "
                "store and return its name"
            )
        return encoded.decode()

    def retry(
        self,
        args: Any = None,
        kwargs: Any = None,
        exc: Exception | None = None,
        throw: bool = True,
        eta: Any = None,
        countdown: float | None = None,
        max_retries: int | None = None,
        **options: Any,
    ) -> Any:
        """Celery's `self.retry()`, made durable: the wait is a date in Postgres, not a message.

        `max_retries` is honoured; the arguments stay those of the submission.
        """
        if self.request.called_directly:
            raise exc or Retry()
        most = self.max_retries if max_retries is None else max_retries
        if most is not None and current.attempt > most:
            raise Permanent(f"no success in {current.attempt} attempts: {exc!r}") from exc
        again = Retry(str(exc) if exc else "", after=countdown)
        if throw:
            raise again from exc
        return again


def _discard(lease: Lease) -> None:
    """The lease is not ours any more, so nothing was written.

    The wake-up goes back once: if the task is due again somebody claims it, else it is dropped.
    """
    log.warning(
        "attempt discarded, its lease is gone", task_id=str(lease.id), attempt=lease.attempt
    )
    raise Reject("lease lost", requeue=True)
