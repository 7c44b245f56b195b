"""core/quotas.py: what is drawn, what is left, and what is written."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.limits import Rate
from taskyard.core.quotas import Drawn, Quota, quota_of, remaining

HUNDRED = Rate(100, timedelta(seconds=1))
DEFAULT = Quota(rate=HUNDRED, queued=1000)


@pytest.mark.parametrize(
    ("quota", "tasks"),
    [
        (Quota(rate=Rate(5, timedelta(minutes=1))), 1),
        (Quota(rate=HUNDRED), 5),
        (Quota(rate=Rate(10_000, timedelta(seconds=1))), 100),
        (Quota(queued=10_000), 100),
        (Quota(queued=10_000, in_flight=60), 3),
        (Quota(stored=1024), 100),
    ],
)
def test_a_draw_is_a_small_part_of_every_bound(quota: Quota, tasks: int) -> None:
    """So that what one process has drawn is soon used, and does not starve the others."""
    assert quota.draw == tasks


def test_own_limits_come_before_the_default_ones() -> None:
    """What is not said is as for everybody; null is unlimited."""
    own = quota_of({"queued": None, "stored": "1KiB"}, DEFAULT)
    assert own == Quota(rate=HUNDRED, queued=None, stored=1024)
    assert quota_of({}, DEFAULT) == DEFAULT
    assert quota_of({"rate": None, "queued": None}, DEFAULT).is_unlimited


@pytest.mark.parametrize("own", [{"rate": 5}, {"queued": 0}, {"queued": True}, {"stored": "1MB"}])
def test_limits_that_cannot_be_read_are_refused(own: dict[str, object]) -> None:
    """In words."""
    with pytest.raises(ValueError, match="is "):
        quota_of(own, DEFAULT)


@given(st.integers(1, 1000), st.floats(-5, 1000), st.floats(0, 100))
def test_a_bucket_never_holds_more_than_its_count(count: int, tokens: float, ago: float) -> None:
    """And when it is full there is nothing to wait for."""
    left, full_in = remaining(Rate(count, timedelta(seconds=10)), min(tokens, count), ago)
    assert left <= count
    assert 0 <= full_in <= 10 * (count + 6) / count + 1
    assert (full_in == 0) is (min(float(count), min(tokens, count) + ago * count / 10) == count)


@pytest.mark.parametrize(
    ("drawn", "says", "wait"),
    [
        ({"tokens": 0.25}, "100/s", 0.0075),
        ({"tokens": 9.0, "queued": 0}, "1000 of its tasks wait", 5),
        ({"tokens": 0.0, "in_flight": 0}, "have not ended", 5),
        ({"tokens": 0.0, "stored": -3}, "bytes", 5),
    ],
)
def test_a_refusal_says_which_bound_it_is(drawn: dict[str, float], says: str, wait: float) -> None:
    """And when to come again."""
    full = {"granted": 0, "tokens": None, "in_flight": None, "queued": None, "stored": None}
    why, after = Drawn(**{**full, **drawn}).why_no_more(DEFAULT)  # type: ignore[arg-type]
    assert says in why
    assert after == pytest.approx(wait)
