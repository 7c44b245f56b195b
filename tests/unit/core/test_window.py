"""core/window.py: how much the broker may hold."""

import pytest

from taskyard.core.routing import Pool
from taskyard.core.window import grown_size, look_again, smoothed_rate, window_size

POOL = Pool(name="p", tasks=("a.*",), modules=("m",), concurrency=4, prefetch=2)


@pytest.mark.parametrize(
    ("consumers", "rate", "size"),
    [
        (0, 0.0, 16),  # as if there were one worker: the first one finds work
        (1, 0.0, 16),
        (3, 0.0, 48),
        (3, 10.0, 48),
        (3, 1200.0, 300),
        (3, 1e9, 20_000),
    ],
)
def test_a_window_is_twice_the_capacity_or_a_quarter_second_of_work(
    consumers: int, rate: float, size: int
) -> None:
    """Whichever is more."""
    assert window_size(POOL, consumers=consumers, rate=rate) == size


def test_a_window_of_ones_own_is_taken_as_it_is() -> None:
    """Whatever is measured."""
    pool = Pool(name="p", tasks=("a.*",), modules=("m",), window=7)
    assert window_size(pool, consumers=100, rate=1e6) == 7


def test_the_rate_follows_what_is_claimed() -> None:
    """Within a second or two, up and down; looks that come at once change nothing."""
    rate = 0.0
    for _ in range(40):
        rate = smoothed_rate(rate, claimed=60, seconds=0.05)
    assert rate == pytest.approx(1200, rel=0.05)
    assert smoothed_rate(rate, claimed=5, seconds=0.0) == rate
    assert smoothed_rate(rate, claimed=-3, seconds=10.0) == pytest.approx(0.0, abs=0.01)


def test_a_window_is_looked_at_before_it_is_empty() -> None:
    """When a quarter is gone, within bounds."""
    assert look_again(300, rate=1200.0) == pytest.approx(0.0625)
    assert look_again(4, rate=0.1) == 0.25
    assert look_again(4, rate=1e9) == 0.004
    assert 0.0 < look_again(4, rate=0.0) < 0.25


def test_a_window_that_runs_empty_grows_and_shrinks_again() -> None:
    """Whatever the rate was while it held the workers up; bounded by two seconds of claims."""
    assert grown_size(26, wanted=26, rate=100.0, starved=True) == 52
    assert grown_size(150, wanted=26, rate=100.0, starved=True) == 200
    assert grown_size(200, wanted=26, rate=100.0, starved=False) == 196
    assert grown_size(27, wanted=26, rate=100.0, starved=False) == 26
    assert grown_size(26, wanted=26, rate=100.0, starved=False) == 26
