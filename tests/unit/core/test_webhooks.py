"""core/webhooks.py: what follows from an answer."""

from datetime import timedelta

import pytest

from taskyard.core.webhooks import (
    RETRIES,
    Answer,
    Delivered,
    GiveUp,
    TryAgain,
    judge,
    pattern_problem,
)


def test_any_2xx_is_a_delivery() -> None:
    """And nothing else is."""
    for status in (200, 202, 204, 299):
        assert judge(Answer(status=status), attempt=1, jitter=0.5) == Delivered()
    for status in (199, 300, 302, 400, 500):
        assert not isinstance(judge(Answer(status=status), attempt=1, jitter=0.5), Delivered)


def test_the_schedule_is_followed_and_then_it_is_given_up() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h; the eighth failure is the last."""
    verdicts = [judge(Answer(status=500), attempt=n, jitter=0) for n in range(1, 9)]
    delays = [each.delay.total_seconds() for each in verdicts[:7] if isinstance(each, TryAgain)]
    assert delays == [5, 300, 1800, 7200, 18_000, 36_000, 36_000]
    assert verdicts[7] == GiveUp(
        "8 attempts in a row failed, the last one because the answer was 500"
    )


def test_jitter_makes_it_later_by_a_tenth_at_most() -> None:
    """What failed together comes back apart, and never early."""
    for number, delay in enumerate(RETRIES, start=1):
        verdict = judge(Answer(fault="x"), attempt=number, jitter=1.0)
        assert verdict == TryAgain(delay * 1.1, "x")


def test_gone_is_gone() -> None:
    """410 ends it at the first attempt."""
    verdict = judge(Answer(status=410), attempt=1, jitter=0)
    assert verdict == GiveUp("the endpoint answered 410 Gone")


@pytest.mark.parametrize(
    ("status", "asked", "waits"),
    [
        (429, timedelta(minutes=2), timedelta(minutes=2)),
        (503, timedelta(minutes=2), timedelta(minutes=2)),
        (503, timedelta(seconds=1), timedelta(seconds=5)),  # never earlier than the schedule
        (503, timedelta(days=400), timedelta(days=1)),  # nor later than a day
        (500, timedelta(minutes=2), timedelta(seconds=5)),  # only these two may ask
    ],
)
def test_retry_after_is_honoured(status: int, asked: timedelta, waits: timedelta) -> None:
    """Within bounds."""
    verdict = judge(Answer(status=status, retry_after=asked), attempt=1, jitter=0)
    assert isinstance(verdict, TryAgain)
    assert verdict.delay == waits


def test_a_redirect_says_so() -> None:
    """Whoever reads the log knows why."""
    verdict = judge(Answer(status=307), attempt=1, jitter=0)
    assert isinstance(verdict, TryAgain)
    assert "redirects are not followed" in verdict.fault


@pytest.mark.parametrize(
    "pattern", ["#", "task.#", "task.*.failed", "task.image.*.failed", "*.a.b"]
)
def test_patterns_that_can_match_are_accepted(pattern: str) -> None:
    """Events are called task.<type>.<state>."""
    assert pattern_problem(pattern) is None


@pytest.mark.parametrize("pattern", ["", "image.#", "task", "a.*", "task..failed", "task.a*"])
def test_patterns_that_never_match_are_refused(pattern: str) -> None:
    """Better at once than never a request."""
    assert pattern_problem(pattern)
