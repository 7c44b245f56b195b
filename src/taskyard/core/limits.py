"""Limits: how many attempts may run at once, and how many may start within a time.

A task type may have a limit of its own, and share those of the resources it names. What runs is
never counted up and down: it is what holds a lease at this moment, so a crash leaks nothing.
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta

from taskyard.core import units

MOST_STARTS = 10_000  # within one period: each is remembered until it has passed
LONGEST_PERIOD = timedelta(days=1)
# From nothing to the whole budget: slow, as the increase of AIMD must be (RFC 5681, section 3.1).
GROWS_WITHIN = timedelta(minutes=5)

_RATE = re.compile(r"(\d{1,6})/(\d{0,6})(s|m|h|d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` within any `period`, wherever it begins."""

    count: int
    period: timedelta

    @property
    def seconds(self) -> float:
        """The period in seconds."""
        return self.period.total_seconds()

    def __str__(self) -> str:
        period = units.show_duration(self.period)
        return f"{self.count}/{period[1:] if len(period) == 2 and period[0] == '1' else period}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The budget of a task type or a resource; `name` says of which, as `resource:stripe`."""

    name: str
    concurrency: int | None = None
    rate: Rate | None = None

    def shrunk(self, share: float) -> "Limit":
        """Return a share of the budget, which is never nothing."""
        return replace(
            self,
            concurrency=self.concurrency and max(1, int(self.concurrency * share)),
            rate=self.rate and replace(self.rate, count=max(1, int(self.rate.count * share))),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What reports of throttling have made of a limit; times in seconds."""

    share: float = 1.0
    shrunk_ago: float | None = None
    paused_for: float = 0.0

    @property
    def share_now(self) -> float:
        """The share of the budget that may be used: cut down at once, grown again since."""
        since = self.shrunk_ago or 0.0
        return min(1.0, self.share + max(0.0, since) / GROWS_WITHIN.total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is in use of a limit: attempts that run, those promised, and starts in the period.

    `opens_in` is in how many seconds the rate allows another start, when it is used up.
    """

    running: int = 0
    reserved: int = 0
    started: int = 0
    opens_in: float | None = None
    paused_for: float = 0.0


def room(limit: Limit, usage: Usage) -> int:
    """Return how many more attempts may start now."""
    if usage.paused_for > 0:
        return 0
    bounds = []
    if limit.concurrency is not None:
        bounds.append(limit.concurrency - usage.running)
    if limit.rate is not None:
        bounds.append(limit.rate.count - usage.started)
    return max(0, min(bounds, default=MOST_STARTS) - usage.reserved)


def opens_in(limit: Limit, usage: Usage) -> float | None:
    """Return in how many seconds a limit without room opens by itself; None when that depends."""
    if limit.rate is not None and usage.started >= limit.rate.count:
        return max(usage.paused_for, usage.opens_in or 0.0)
    return usage.paused_for or None


def read_rate(text: str) -> Rate:
    """Return the rate a text means: `10/s`, `600/m`, `5/10s`. Raises ValueError in words."""
    found = _RATE.fullmatch(text)
    if not found:
        raise ValueError(f"is {text[:40]!r}; write a rate such as 10/s, 600/m or 5/10s")
    count, period = int(found[1]), units.duration((found[2] or "1") + found[3])
    if not 1 <= count <= MOST_STARTS or period > LONGEST_PERIOD:
        raise ValueError(f"is {text!r}; it may be 1 to {MOST_STARTS} within at most a day")
    return Rate(count, period)
