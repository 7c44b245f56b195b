"""What comes of an attempt, and what task code may raise to say so."""

import traceback
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from celery.exceptions import SoftTimeLimitExceeded

from taskyard.core.errors import EncryptionKeyMissing, TaskyardError
from taskyard.core.lease import Lease
from taskyard.core.retry import RetryPolicy
from taskyard.core.task import Failure
from taskyard.redaction import redacted

_PUT_OFF_FOR = timedelta(seconds=30)
_MOST_RESULT = 1024 * 1024  # bytes of JSON; files belong into a store
_MOST_MESSAGE = 4_000
_MOST_TRACEBACK = 20_000

OVERDUE = Failure(code="deadline-exceeded", message="the task was not done by its deadline")


class Permanent(Exception):
    """Raise this when no further attempt can help: the task fails at once."""

    permanent = True


class Retry(Exception):
    """Raise this to run again later. Attempts still count; `after` overrides the policy's wait."""

    def __init__(self, message: str = "", *, after: timedelta | float | None = None) -> None:
        super().__init__(message or "the task asked to run again")
        self.after = timedelta(seconds=after) if isinstance(after, int | float) else after


class Throttled(Retry):
    """Raise this when a service says that it has had enough: 429, or no answer in time.

    The budget of the resource is halved for all pools, nothing that needs it starts for
    `retry_after` seconds, and this task runs again after them.
    """

    def __init__(
        self, resource: str, *, retry_after: timedelta | float | None = None, message: str = ""
    ) -> None:
        super().__init__(message or f"throttled by {resource}", after=retry_after)
        self.resource = resource


class ArgumentsDoNotFit(Permanent):
    """The stored arguments do not fit the function's type hints (any longer)."""


class ResultUnusable(Permanent):
    """What the function returned cannot be stored as JSON."""


class Interrupted(BaseException):
    """The attempt should end now: its task was cancelled, or its lease is gone.

    `current.progress` raises it. Clean up and let it pass. It is no Exception, so that an
    `except Exception` in task code does not swallow it (as asyncio.CancelledError).
    """


@dataclass(frozen=True, slots=True)
class Failed:
    """The task has failed for good."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed and another follows after `delay`."""

    failure: Failure
    delay: timedelta


@dataclass(frozen=True, slots=True)
class PutOff:
    """The attempt could not begin, which is no fault of the task; it is tried again later."""

    failure: Failure
    delay: timedelta


def judge(
    error: Exception, *, lease: Lease, overdue: bool, policy: RetryPolicy, jitter: float
) -> Failed | Retried | PutOff:
    """Decide what a raised error makes of the task. `jitter` is drawn from [0, 1).

    `overdue` says that the task's deadline has passed.
    """
    failure = describe(error)
    if overdue and isinstance(error, SoftTimeLimitExceeded):
        return Failed(OVERDUE)
    if isinstance(error, EncryptionKeyMissing):
        return PutOff(failure, _PUT_OFF_FOR * (1 + jitter))
    if getattr(error, "permanent", False) is True or policy.is_permanent(error):
        return Failed(replace(failure, code=_permanent(failure.code)))
    return again_or_failed(
        failure,
        errors=lease.errors + 1,
        max_attempts=lease.max_attempts,
        policy=policy,
        jitter=jitter,
        after=error.after if isinstance(error, Retry) else None,
    )


def _permanent(code: str) -> str:
    return "permanent-error" if code == "task-error" else code


def again_or_failed(
    failure: Failure,
    *,
    errors: int,
    max_attempts: int,
    policy: RetryPolicy,
    jitter: float,
    after: timedelta | None = None,
) -> Failed | Retried:
    """Return Retried while attempts are left. The bound is the one stored at submission."""
    stored = replace(policy, max_attempts=max_attempts)
    delay = stored.delay_after(errors, jitter=jitter)
    if delay is None:
        return Failed(failure)
    return Retried(failure, delay if after is None else after)


def describe(error: BaseException) -> Failure:
    """Return how an error is stored and shown: with a traceback, unless it says all by itself."""
    if isinstance(error, TaskyardError):
        return Failure(code=error.code, message=redacted(error.detail)[:_MOST_MESSAGE])
    code = _code(error)
    message = redacted(str(error) or type(error).__name__)[:_MOST_MESSAGE]
    if isinstance(error, Permanent | Retry | SoftTimeLimitExceeded):
        return Failure(code=code, message=message)
    lines = "".join(traceback.format_exception(error))
    return Failure(
        code=code,
        message=f"{type(error).__name__}: {message}"[:_MOST_MESSAGE],
        traceback=redacted(lines[-_MOST_TRACEBACK:]),
    )


def encode(result: Any) -> str:
    """Return a result as JSON text. Raises ResultUnusable."""
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


def _code(error: BaseException) -> str:
    match error:
        case ArgumentsDoNotFit():
            return "invalid-arguments"
        case ResultUnusable():
            return "invalid-result"
        case SoftTimeLimitExceeded():
            return "timed-out"
        case Retry():
            return "throttled" if isinstance(error, Throttled) else "retry-asked"
        case _ if getattr(error, "permanent", False) is True:
            return "permanent-error"
        case _:
            return "task-error"
