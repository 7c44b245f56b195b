"""core/pace.py: when one of those who wait may start."""

import heapq
import random
from collections.abc import Callable
from statistics import fmean, median, pvariance

import pytest

from taskyard.core.pace import Forecast, Pace, end_of, start_of

_BETWEEN = 0.002
WORK: dict[str, Callable[[random.Random], float]] = {
    "the same each time": lambda _: 1.0,
    "between a half and one and a half": lambda chance: chance.uniform(0.5, 1.5),
    "memoryless": lambda chance: chance.expovariate(1.0),
    "mostly short, some long": lambda chance: 5.0 if chance.random() < 0.1 else 0.55,
}


def starts(
    chance: random.Random, slots: int, draw: Callable[[random.Random], float]
) -> list[float]:
    """When each of 60 tasks starts, seen from some time in the middle of a busy day."""
    free = [chance.uniform(0.0, 1.0) for _ in range(slots)]
    heapq.heapify(free)
    seen, found = 30.0, []
    while len(found) < 60:
        start = heapq.heappop(free)
        if start >= seen:
            found.append(start - seen)
        heapq.heappush(free, start + draw(chance) + _BETWEEN)
    return found


@pytest.mark.parametrize("name", WORK)
@pytest.mark.parametrize("slots", [1, 2, 8])
def test_nine_of_ten_start_by_then_and_half_of_them_by_the_middle(name: str, slots: int) -> None:
    """Held against a simulation of the pool, for every place in the line."""
    chance = random.Random(7)
    sample = [WORK[name](chance) for _ in range(5_000)]
    pace = Pace(slots=slots, running=slots, mean=fmean(sample), variance=pvariance(sample))
    late, errors = [], []
    for _ in range(200):
        for ahead, start in enumerate(starts(chance, slots, WORK[name])):
            told = start_of(pace, ahead=ahead)
            late.append(start > told.p90)
            if ahead >= 5 * slots:
                errors.append(abs(start - told.p50) / start)
    assert 0.0 <= fmean(late) <= 0.13
    assert median(errors) <= 0.25


def test_a_free_slot_starts_at_once() -> None:
    """Also the last of several that find one."""
    pace = Pace(slots=4, running=1, mean=10.0, variance=0.0)
    assert start_of(pace, ahead=2) == Forecast(p50=0.0, p90=0.0)
    assert start_of(pace, ahead=3).p50 > 0.0


def test_more_ahead_is_never_sooner() -> None:
    """And nine of ten never sooner than half."""
    pace = Pace(slots=3, running=3, mean=0.4, variance=2.0)
    told = [start_of(pace, ahead=ahead) for ahead in range(1_000)]
    assert [each.p50 for each in told] == sorted(each.p50 for each in told)
    assert [each.p90 for each in told] == sorted(each.p90 for each in told)
    assert all(each.p50 <= each.p90 for each in told)


def test_an_end_is_a_start_and_a_run() -> None:
    """What is unsure of both adds up as unsure things do."""
    told = end_of(Forecast(p50=10.0, p90=13.0), mean=2.0, variance=9.0)
    assert told.p50 == 12.0
    assert 15.0 < told.p90 < 20.0


def test_a_rate_is_the_slots_over_the_time_of_one() -> None:
    """And of the moment between two."""
    assert Pace(slots=4, running=0, mean=0.998, variance=0).rate() == pytest.approx(4.0)
