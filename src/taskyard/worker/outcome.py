"""What comes of an attempt, and what task code may raise to say so."""

import traceback
from dataclasses import dataclass, replace
from datetime import timedelta

from celery.exceptions import SoftTimeLimitExceeded

from taskyard.core.retry import RetryPolicy
from taskyard.core.task import Failure

_MOST_MESSAGE = 4_000
_MOST_TRACEBACK = 20_000


class Permanent(Exception):
    """Raise this when no further attempt can help: the task fails at once."""

    permanent = True


class Retry(Exception):
    """Raise this to run again later. Attempts still count; `after` overrides the policy's wait."""

    def __init__(self, message: str = "", *, after: timedelta | float | None = None) -> None:
        super().__init__(message or "the task asked to run again")
        self.after = timedelta(seconds=after) if isinstance(after, int | float) else after


class ArgumentsDoNotFit(Permanent):
    """The stored arguments do not fit the function's type hints (any longer)."""


class ResultUnusable(Permanent):
    """What the function returned cannot be stored as JSON."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The task has failed for good."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Retried:
    """The attempt failed and another follows after `delay`."""

    failure: Failure
    delay: timedelta


def judge(
    error: BaseException,
    *,
    attempt: int,
    max_attempts: int,
    policy: RetryPolicy,
    jitter: float,
) -> Failed | Retried:
    """Decide what a raised error makes of the task. `jitter` is drawn from [0, 1)."""
    failure = describe(error)
    if getattr(error, "permanent", False) is True:
        return Failed(failure)
    return again_or_failed(
        failure,
        attempt=attempt,
        max_attempts=max_attempts,
        policy=policy,
        jitter=jitter,
        after=error.after if isinstance(error, Retry) else None,
    )


def again_or_failed(
    failure: Failure,
    *,
    attempt: int,
    max_attempts: int,
    policy: RetryPolicy,
    jitter: float,
    after: timedelta | None = None,
) -> Failed | Retried:
    """Return Retried while attempts are left. The bound is the one stored at submission."""
    stored = replace(policy, max_attempts=max_attempts)
    delay = stored.delay_after(attempt, jitter=jitter)
    if delay is None:
        return Failed(failure)
    return Retried(failure, delay if after is None else after)


def describe(error: BaseException) -> Failure:
    """Return how an error is stored and shown: with a traceback, unless it says all by itself."""
    code = _code(error)
    message = (str(error) or type(error).__name__)[:_MOST_MESSAGE]
    if isinstance(error, Permanent | Retry | SoftTimeLimitExceeded):
        return Failure(code=code, message=message)
    lines = "".join(traceback.format_exception(error))
    return Failure(
        code=code,
        message=f"{type(error).__name__}: {message}"[:_MOST_MESSAGE],
        traceback=lines[-_MOST_TRACEBACK:],
    )


def _code(error: BaseException) -> str:
    match error:
        case ArgumentsDoNotFit():
            return "invalid-arguments"
        case ResultUnusable():
            return "invalid-result"
        case SoftTimeLimitExceeded():
            return "timed-out"
        case Retry():
            return "retry-asked"
        case _ if getattr(error, "permanent", False) is True:
            return "permanent-error"
        case _:
            return "task-error"
