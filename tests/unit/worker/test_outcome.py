"""worker/outcome.py: what a raised error makes of a task."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from taskyard import Permanent, Retry
from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.principal import DEFAULT_TENANT
from taskyard.core.retry import RetryPolicy
from taskyard.core.task import TaskId
from taskyard.files import NotConfined
from taskyard.worker.outcome import Failed, PutOff, Retried, judge

POLICY = RetryPolicy(max_attempts=3, base=timedelta(seconds=4), cap=timedelta(minutes=1))


def verdict(
    error: Exception, *, errors: int = 0, overdue: bool = False, policy: RetryPolicy = POLICY
) -> Failed | Retried | PutOff:
    lease = Lease(
        id=TaskId(uuid4()), tenant=DEFAULT_TENANT, type="a.b", token=LeaseToken(uuid4()),
        attempt=7, max_attempts=3, errors=errors, seconds_left=None, priority=4, args={},
    )  # fmt: skip
    return judge(error, lease=lease, overdue=overdue, policy=policy, jitter=0.5)


def test_an_error_is_retried_while_attempts_are_left() -> None:
    """The wait is the policy's; the last attempt fails for good."""
    outcome = verdict(ValueError("no"))
    assert isinstance(outcome, Retried)
    assert outcome.delay == timedelta(seconds=2)
    assert outcome.failure.code == "task-error"
    assert isinstance(verdict(ValueError("no"), errors=2), Failed)


@pytest.mark.parametrize("error", [Permanent("never"), NotConfined("x/../y")])
def test_a_permanent_error_is_never_retried(error: Exception) -> None:
    """Ours or one that says of itself that it is permanent."""
    outcome = verdict(error)
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "permanent-error"


@pytest.mark.parametrize(
    "name", ["LookupError", "builtins.KeyError", "KeyError", "builtins.LookupError"]
)
def test_the_policy_may_name_permanent_errors(name: str) -> None:
    """By a class's own name or its dotted path; its subclasses are meant too."""
    outcome = verdict(KeyError("x"), policy=replace(POLICY, permanent=(name,)))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "permanent-error"
    assert isinstance(verdict(ValueError("x"), policy=replace(POLICY, permanent=(name,))), Retried)


def test_retry_may_name_its_wait() -> None:
    """`after` overrides the policy's wait, not its number of attempts."""
    outcome = verdict(Retry(after=90))
    assert isinstance(outcome, Retried)
    assert outcome.delay == timedelta(seconds=90)
    assert isinstance(verdict(Retry(after=90), errors=2), Failed)


def test_a_time_limit_is_told_apart() -> None:
    """Its code says what happened."""
    assert verdict(SoftTimeLimitExceeded()).failure.code == "timed-out"


def test_a_time_limit_at_the_deadline_is_the_last() -> None:
    """Whatever attempts are left."""
    outcome = verdict(SoftTimeLimitExceeded(), overdue=True)
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "deadline-exceeded"


def test_an_unexpected_error_keeps_its_traceback() -> None:
    """Bounded, so that no error can fill the database."""
    try:
        raise RuntimeError("x" * 100_000)
    except RuntimeError as error:
        failure = verdict(error).failure
    assert failure.traceback is not None
    assert len(failure.message) + len(failure.traceback) < 25_000


def test_a_missing_key_puts_the_task_off() -> None:
    """Whoever lacks a key leaves the task to others, also after its last attempt."""
    outcome = verdict(EncryptionKeyMissing("sealed with the key 'k1'"), errors=99)
    assert isinstance(outcome, PutOff)
    assert outcome.delay == timedelta(seconds=45)
    assert (outcome.failure.code, outcome.failure.traceback) == ("encryption-key-missing", None)


def test_what_does_not_open_never_will() -> None:
    """Arguments that were changed in the database make a dead letter, not a retry for ever."""
    outcome = verdict(SealBroken("the args do not open"))
    assert isinstance(outcome, Failed)
    assert outcome.failure.code == "seal-broken"


def test_the_error_of_a_task_tells_no_password() -> None:
    """Neither the message nor the traceback, which may show the line that holds it."""
    failure = verdict(ValueError("amqp://guest:hunter2@broker/ did not answer")).failure
    assert "amqp://guest:***@broker/" in failure.message
    assert "hunter2" not in f"{failure.message} {failure.traceback}"
