"""The base of every task: claim, run, finish."""

import inspect
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, assert_never
from uuid import UUID, uuid4

import celery
import msgspec
import psycopg
import structlog
from celery.exceptions import Ignore, Reject
from celery.exceptions import Retry as CeleryRetry

from taskyard import tracing
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.limits import Limit
from taskyard.core.routing_limits import limits_for
from taskyard.core.sealed import Place
from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts
from taskyard.worker import ending, permits, signature, traced
from taskyard.worker.asyncio_result import result_of, unusable
from taskyard.worker.current import Running, current, running
from taskyard.worker.outcome import (
    ArgumentsDoNotFit,
    Failed,
    Interrupted,
    Permanent,
    PutOff,
    Retried,
    Retry,
    Throttled,
    encode,
    judge,
)
from taskyard.worker.permits import Deferred
from taskyard.worker.resource import resource_of
from taskyard.worker.runtime import Runtime
from taskyard.worker.spent import spend

log = structlog.get_logger(__name__)

_COMMIT_UNKNOWN = Failure(
    code="commit-unknown", message="the database connection broke while the result was stored"
)


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
        task_id, limits = TaskId(UUID(self.request.id)), limits_for(runtime.table, self.name)
        began = time.time_ns()
        lease = self._claimed(runtime, task_id, limits)
        if isinstance(lease, Deferred):
            raise Ignore  # it waits in the line of a limit
        if lease is None:
            runtime.durably(lambda c: spend(c, task_id, self.name, pool=runtime.pool))
            raise Ignore
        traced.claimed(lease, began=began)
        self.request.retries = lease.errors
        try:
            self._attempt(runtime, lease)
        finally:
            if limits:
                permits.tell_freed(runtime, limits)
        return None

    def _claimed(
        self, runtime: Runtime, task_id: TaskId, limits: Sequence[Limit]
    ) -> Lease | Deferred | None:
        token = LeaseToken(uuid4())
        if runtime.group is not None and not limits:
            return runtime.answer(runtime.group.claim(task_id, self.name, token))
        return runtime.durably(
            lambda cursor: permits.claim(cursor, task_id, self.name, runtime.worker, token, limits)
        )

    def _attempt(self, runtime: Runtime, lease: Lease) -> None:
        """Run a claimed attempt and store what comes of it."""
        claimed_at = time.monotonic()
        with running(runtime, lease) as it:
            try:
                stored = self._perform(it)
            except Reject:
                raise
            except Interrupted:
                it.spoken.write()
                stored = runtime.durably(lambda c: attempts.cancel(c, lease.id, lease.token))
                if stored:
                    ending.tell_cancel(time.monotonic() - claimed_at)
            except Exception as error:
                it.effects.undo()
                it.spoken.write()
                took = time.monotonic() - claimed_at
                overdue = lease.seconds_left is not None and took >= lease.seconds_left
                self._conclude(runtime, lease, error, took=took, overdue=overdue)
                raise
            else:
                if stored:
                    ending.tell_success(time.monotonic() - claimed_at)
        if not stored:
            _discard(lease)

    def _perform(self, it: Running) -> bool:
        """Run the function and store its result; return False when the lease was gone."""
        with _stopped_at_deadline(it.lease):
            result = self.run(**self._bound(it))
            if inspect.iscoroutine(result):
                stored, result = result_of(result, it)
                if stored is not None:
                    return stored
            result = encode(result)
        it.spoken.write()
        try:
            with tracing.span("finish"):
                if it.effects.are_sync:
                    return _committed(it, result)
                if it.runtime.group is not None:
                    return it.runtime.answer(it.runtime.group.finish(it.lease, result))
                return it.runtime.durably(lambda c: attempts.finish(c, it.lease, result))
        except psycopg.DataError as error:  # NUL in a string, a number beyond numeric
            raise unusable(error) from None

    def _conclude(
        self, runtime: Runtime, lease: Lease, error: Exception, *, took: float, overdue: bool
    ) -> None:
        """Store that the attempt failed, and what follows; Celery only has to log it."""
        if isinstance(error, Throttled):
            _report(runtime, lease, error)
        outcome = judge(
            error,
            lease=lease,
            overdue=overdue,
            policy=runtime.table.defaults_for(self.name).retry,
            jitter=random.random(),  # noqa: S311 - it spreads load, it guards nothing
        )
        match outcome:
            case Failed(failure):
                stored = runtime.durably(lambda cursor: attempts.fail(cursor, lease, failure))
            case Retried(failure, delay):
                stored = runtime.durably(
                    lambda cursor: attempts.retry(cursor, lease, failure, delay)
                )
            case PutOff(failure, delay):
                log.error("task put off", task_id=str(lease.id), why=failure.message)
                stored = runtime.durably(
                    lambda cursor: attempts.put_off(cursor, lease, failure, delay)
                )
            case _:
                assert_never(outcome)
        if not stored:
            _discard(lease)
        ending.tell_failure(outcome, took)
        if isinstance(outcome, Retried | PutOff):
            raise CeleryRetry(exc=error, when=outcome.delay.total_seconds()) from error

    @cached_property
    def parameters(self) -> type[msgspec.Struct]:
        """The struct that the arguments must fit."""
        function: Any = getattr(self, "_orig_run", self.run)  # autoretry_for wraps the function
        return signature.parameters(self.name, function)

    def _bound(self, it: Running) -> dict[str, Any]:
        args = it.runtime.ring.open(it.lease.args, Place(it.lease.tenant, it.lease.id, "args"))
        try:
            return signature.bind(self.parameters, args)
        except msgspec.ValidationError as error:
            raise ArgumentsDoNotFit(str(error)) from None

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
        if most is not None and current.errors >= most:
            raise Permanent(f"no success in {current.errors + 1} attempts: {exc!r}") from exc
        again = Retry(str(exc) if exc else "", after=countdown)
        if throw:
            raise again from exc
        return again


@contextmanager
def _stopped_at_deadline(lease: Lease) -> Iterator[None]:
    """Raise SoftTimeLimitExceeded in the task at its deadline, in a process of its own.

    Billiard's handler of SIGUSR1 raises it. Threads cannot be interrupted.
    """
    if lease.seconds_left is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    wait = max(0.0, lease.seconds_left)
    alarm = threading.Timer(wait, os.kill, (os.getpid(), signal.SIGUSR1))
    alarm.daemon = True
    alarm.start()
    try:
        yield
    finally:
        alarm.cancel()


def _committed(it: Running, result: str) -> bool:
    """Finish in the task's own transaction."""
    try:
        return it.effects.finish(result)
    except psycopg.OperationalError as error:
        log.warning("commit of the result broken off", error=str(error).strip())
    # Either all of it is committed, and there is nothing to take back, or none of it.
    lease, worker = it.lease, it.runtime.worker
    it.runtime.durably(
        lambda cursor: attempts.take_back(
            cursor, [lease.id], worker=worker, failure=_COMMIT_UNKNOWN, crashed=False
        )
    )
    return True


def _report(runtime: Runtime, lease: Lease, error: Throttled) -> None:
    try:
        resource_of(runtime, lease, error.resource).throttled(error.after)
    except LookupError as unknown:
        log.warning("throttling not taken in", error=str(unknown))


def _discard(lease: Lease) -> None:
    """The lease is not ours any more, so nothing was written.

    The wake-up goes back once: if the task is due again somebody claims it, else it is dropped.
    """
    log.warning(
        "attempt discarded, its lease is gone", task_id=str(lease.id), attempt=lease.attempt
    )
    raise Reject("lease lost", requeue=True)
