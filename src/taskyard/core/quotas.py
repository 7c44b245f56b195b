"""Quotas: what a tenant may submit within a time, and hold at once."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from taskyard.core import units
from taskyard.core.limits import Rate, read_rate

_LARGEST_DRAW = 100
_DRAWS_IN_BOUND = 20  # of a bound, one process draws a twentieth at once
_DRAWS_A_SECOND = 10.0
_MOST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Quota:
    """The bounds of one tenant; None is unlimited.

    `rate` fills a bucket of its count within its period. `in_flight` counts tasks that have not
    ended, `queued` those of them that do not run, `stored` bytes of arguments, results and errors.
    """

    rate: Rate | None = None
    in_flight: int | None = None
    queued: int | None = None
    stored: int | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether nothing bounds the tenant, so that nothing need be asked."""
        return self == _UNLIMITED

    @property
    def bounds_tasks(self) -> bool:
        """Whether it bounds what the tenant holds, and not only how fast it submits."""
        return (self.in_flight, self.queued, self.stored) != (None, None, None)

    def cost(self, tasks: int) -> int:
        """Return the room that tasks need which are made together.

        What is larger than a bound needs all of it: it would never come in else.
        """
        return min([tasks, *(each for each in (self.in_flight, self.queued) if each is not None)])

    @property
    def draw(self) -> int:
        """How many tasks one process draws at once: what the bounds may be passed by, at most."""
        bounds = [each for each in (self.in_flight, self.queued) if each is not None]
        shares = [each // _DRAWS_IN_BOUND for each in bounds]
        if self.rate is not None:
            a_second = self.rate.count / self.rate.seconds
            shares.append(int(min(a_second / _DRAWS_A_SECOND, self.rate.count / _DRAWS_IN_BOUND)))
        return max(1, min([_LARGEST_DRAW, *shares]))


_UNLIMITED = Quota()


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What a draw came to: tasks granted, tokens left in the bucket, and room below each bound."""

    granted: int
    tokens: float | None
    in_flight: int | None
    queued: int | None
    stored: int | None

    def why_no_more(self, quota: Quota, *, asked: int = 1) -> tuple[str, float]:
        """Return why not more were granted, in words, and after how many seconds to ask again.

        `asked` tasks are granted together or not at all.
        """
        if self.stored is not None and self.stored <= 0:
            return f"its tasks take up the {quota.stored} bytes that they may", _AFTER_QUOTA
        if self.queued is not None and self.queued < 1:
            return f"{quota.queued} of its tasks wait, as many as may", _AFTER_QUOTA
        if self.in_flight is not None and self.in_flight < 1:
            return f"{quota.in_flight} of its tasks have not ended, as many as may", _AFTER_QUOTA
        room = min(each for each in (self.queued, self.in_flight, asked) if each is not None)
        if room < asked:
            return f"there is room for {room} more tasks, not for {asked}", _AFTER_QUOTA
        rate = quota.rate
        if rate is None or self.tokens is None:
            return "another process has just drawn what was left", 1.0
        wait = max(0.0, 1 - self.tokens) * rate.seconds / rate.count
        return f"it may submit {rate} tasks", wait


_AFTER_QUOTA = 5.0  # seconds; nobody knows when a task will end


def remaining(rate: Rate, tokens: float, ago: float) -> tuple[int, int]:
    """Return the tasks left in a bucket that was seen `ago`, and the seconds until it is full."""
    now = min(float(rate.count), tokens + ago * rate.count / rate.seconds)
    return int(now), ceil((rate.count - now) * rate.seconds / rate.count)


def _count(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _MOST:
        raise ValueError(f"is {value!r}, not a whole number from 1")
    return value


def _written(read: Callable[[str], Any], example: str) -> Callable[[Any], Any]:
    def reader(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"is {value!r}; write it as a string such as {example}")
        return read(value)

    return reader


READERS: Mapping[str, Callable[[Any], Any]] = {
    "rate": _written(read_rate, '"100/s"'),
    "in_flight": _count,
    "queued": _count,
    "stored": _written(units.size, '"10GiB"'),
}


def quota_of(own: Mapping[str, Any], default: Quota) -> Quota:
    """Return the bounds of a tenant: its own as they are written, else the default ones.

    A key that is there and None is unlimited. Raises ValueError for what cannot be read.
    """
    values = {
        name: read(own[name]) if own[name] is not None else None
        for name, read in READERS.items()
        if name in own
    }
    kept = {name: getattr(default, name) for name in READERS if name not in own}
    return Quota(**values, **kept)
