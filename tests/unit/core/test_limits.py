"""core/limits.py: rates, room and shares."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.limits import (
    GROWS_WITHIN,
    Limit,
    Rate,
    Standing,
    Usage,
    opens_in,
    read_rate,
    room,
)

SECOND = timedelta(seconds=1)
BOTH = Limit(name="resource:r", concurrency=5, rate=Rate(20, SECOND))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("10/s", Rate(10, SECOND)),
        ("600/m", Rate(600, timedelta(minutes=1))),
        ("5/10s", Rate(5, timedelta(seconds=10))),
        ("1/d", Rate(1, timedelta(days=1))),
    ],
)
def test_a_rate_is_read_and_shown(text: str, rate: Rate) -> None:
    """As people write it; what is shown can be read again."""
    assert read_rate(text) == rate
    assert read_rate(str(rate)) == rate


@pytest.mark.parametrize("text", ["", "10", "/s", "10/", "0/s", "-1/s", "1.5/s", "1/2d", "9/ms"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    """In words."""
    with pytest.raises(ValueError, match=r"rate such as|1 to 10000"):
        read_rate(text)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(), 5),
        (Usage(running=3), 2),
        (Usage(running=3, reserved=2), 0),
        (Usage(running=9), 0),
        (Usage(started=18), 2),
        (Usage(started=20), 0),
        (Usage(paused_for=0.1), 0),
    ],
)
def test_room_is_what_the_narrowest_bound_leaves(usage: Usage, expected: int) -> None:
    """Also when more run than may, after the budget has shrunk."""
    assert room(BOTH, usage) == expected


def test_a_limit_opens_by_itself_or_when_somebody_ends() -> None:
    """A used-up rate and a pause have a date; a full house has none."""
    assert opens_in(BOTH, Usage(running=5)) is None
    assert opens_in(BOTH, Usage(started=20, opens_in=0.4)) == 0.4
    assert opens_in(BOTH, Usage(running=5, paused_for=3.0)) == 3.0
    assert opens_in(BOTH, Usage(started=20, opens_in=0.4, paused_for=3.0)) == 3.0


@given(st.floats(0.001, 1), st.floats(0, 10_000), st.floats(0, 10_000))
def test_a_share_grows_back_and_never_beyond(share: float, some: float, more: float) -> None:
    """Steadily, from the moment it was cut down."""
    earlier = Standing(share=share, shrunk_ago=min(some, more)).share_now
    later = Standing(share=share, shrunk_ago=max(some, more)).share_now
    assert share <= earlier <= later <= 1
    assert Standing(share=share, shrunk_ago=GROWS_WITHIN.total_seconds()).share_now == 1


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.floats(0.001, 1))
def test_a_shrunk_budget_is_smaller_and_never_nothing(most: int, count: int, share: float) -> None:
    """Else nothing would ever run again that could show that the service has recovered."""
    shrunk = Limit(name="l", concurrency=most, rate=Rate(count, SECOND)).shrunk(share)
    assert shrunk.concurrency is not None
    assert shrunk.rate is not None
    assert 1 <= shrunk.concurrency <= most
    assert 1 <= shrunk.rate.count <= count
    assert Limit(name="l", concurrency=most).shrunk(share).rate is None
