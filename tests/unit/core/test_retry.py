"""core/retry.py: exponential backoff with full jitter."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.retry import RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 1000),
    base=st.timedeltas(timedelta(milliseconds=1), timedelta(hours=1)),
    cap=st.timedeltas(timedelta(hours=1), timedelta(days=30)),
)


@given(POLICIES, st.integers(1, 2000), st.floats(0, 1, exclude_max=True))
def test_a_delay_is_within_its_bounds(policy: RetryPolicy, attempt: int, jitter: float) -> None:
    """Never negative, never over the cap, and none at all once the attempts are used up."""
    delay = policy.delay_after(attempt, jitter=jitter)
    if attempt >= policy.max_attempts:
        assert delay is None
    else:
        assert delay is not None
        assert timedelta(0) <= delay <= policy.cap


def test_the_ceiling_doubles_up_to_the_cap() -> None:
    """2 s, 4 s, 8 s … and never more than the cap."""
    policy = RetryPolicy(max_attempts=10, base=timedelta(seconds=2), cap=timedelta(seconds=10))
    delays = [policy.delay_after(attempt, jitter=0.5) for attempt in (1, 2, 3, 4, 9)]
    assert [d.total_seconds() for d in delays if d] == [1, 2, 4, 5, 5]
