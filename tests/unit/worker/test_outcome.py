"""worker/outcome.py: what a raised error makes of a task."""

from datetime import timedelta

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from taskyard import Permanent, Retry
from taskyard.core.retry import RetryPolicy
from taskyard.files import NotConfined
from taskyard.worker.outcome import Failed, Retried, judge

POLICY = RetryPolicy(max_attempts=3, base=timedelta(seconds=4), cap=timedelta(minutes=1))


def verdict(error: Exception, *, attempt: int = 1) -> Failed | Retried:
    return judge(error, attempt=attempt, max_attempts=3, policy=POLICY, jitter=0.5)


def test_an_error_is_retried_while_attempts_are_left() -> None:
    """The wait is the policy's; the last attempt fails for good."""
    outcome = verdict(ValueError("no"))
    assert isinstance(outcome, Retried)
    assert outcome.delay == timedelta(seconds=2)
    assert outcome.failure.code == "task-error"
    assert isinstance(verdict(ValueError("no"), attempt=3), Failed)


@pytest.mark.parametrize("error", [Permanent("never"), NotConfined("x/../y")])
def test_a_permanent_error_is_never_retried(error: Exception) -> None:
    """Ours or one that says of itself that it is permanent."""
    outcome = verdict(error)
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "permanent-error"


def test_retry_may_name_its_wait() -> None:
    """`after` overrides the policy's wait, not its number of attempts."""
    outcome = verdict(Retry(after=90))
    assert isinstance(outcome, Retried)
    assert outcome.delay == timedelta(seconds=90)
    assert isinstance(verdict(Retry(after=90), attempt=3), Failed)


def test_a_time_limit_is_told_apart() -> None:
    """Its code says what happened."""
    assert verdict(SoftTimeLimitExceeded()).failure.code == "timed-out"


def test_an_unexpected_error_keeps_its_traceback() -> None:
    """Bounded, so that no error can fill the database."""
    try:
        raise RuntimeError("x" * 100_000)
    except RuntimeError as error:
        failure = verdict(error).failure
    assert failure.traceback is not None
    assert len(failure.message) + len(failure.traceback) < 25_000
