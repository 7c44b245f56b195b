"""The pace of a pool: how fast it works, and when one of those who wait may start.

So many slots work side by side, each begins another task when its own has ended. After `ends` ends
the time that passed is about normal, with the mean and variance of renewal theory (Cox, Renewal
Theory, 1962, chapters 2 and 6), and what is measured is itself not sure.
"""

import math
from dataclasses import dataclass

_BETWEEN = 0.002  # seconds from one task's end to the next one's begin, on one slot (measured)
_UNSURE = 0.1  # how far a mean may have moved since it was measured, as a part of it
_P90 = 1.2816  # standard deviations above the mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a pool works: slots, how many of them run, seconds that tasks run and their variance."""

    slots: int
    running: int
    mean: float
    variance: float

    def rate(self) -> float:
        """Return the tasks that it ends in a second when all slots are busy."""
        return self.slots / (self.mean + _BETWEEN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Seconds until something happens: as likely sooner as later, and at most in 9 of 10 cases."""

    p50: float
    p90: float


def start_of(pace: Pace, *, ahead: int) -> Forecast:
    """Return when a task starts that has so many others ahead of it, none of which runs."""
    ends = ahead + 1 - max(0, pace.slots - pace.running)
    if ends <= 0:
        return Forecast(p50=0.0, p90=0.0)
    mean = pace.mean + _BETWEEN
    # The first ends sooner than a whole run: it has run for a while, which long ones do more often.
    begun = (pace.variance - mean**2) / (2 * mean)
    expected = max(0.0, (ends * mean + begun) / pace.slots)
    spread = math.sqrt(ends * pace.variance + mean**2 / 12) / pace.slots
    return Forecast(p50=expected, p90=expected + _P90 * math.hypot(spread, _UNSURE * expected))


def end_of(start: Forecast, *, mean: float, variance: float) -> Forecast:
    """Return when a task ends that starts then and runs about so long."""
    late = math.hypot(start.p90 - start.p50, _P90 * math.sqrt(variance))
    return Forecast(p50=start.p50 + mean, p90=start.p50 + mean + late)
