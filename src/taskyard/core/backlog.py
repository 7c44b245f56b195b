"""The bound of a backlog: who is still let in when much waits, and when to come again."""

from dataclasses import dataclass

_MODERATE, _CRITICAL = 4, 8  # the lowest priorities that count as such
_LONGEST_WAIT = 3600.0  # seconds that anybody is told to stay away
_JITTER = 0.5


@dataclass(frozen=True, slots=True)
class Demand:
    """What a task that is to wait asks room for: the bytes are those that it adds."""

    pool: str
    priority: int
    size: int


def share(priority: int) -> float:
    """Return how much of a bound a priority may use: the lowest are shed first."""
    if priority >= _CRITICAL:
        return 1.0
    return 0.9 if priority >= _MODERATE else 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many wait, how many may, and how many leave in a second, if that is known."""

    waiting: int
    most: int
    rate: float | None = None

    def admits(self, priority: int, *, more: int = 0, own: int = 0) -> bool:
        """Return whether a task may come in, after so many more since these were counted.

        `own` are those before it in a group that comes in together. A group that is larger than the
        bound does so while nothing else waits: it never would else.
        """
        before = self.waiting + more
        return before + own < self.most * share(priority) or (own > 0 and before == 0)

    def retry_after(self, priority: int, *, jitter: float) -> int:
        """Return the seconds until there should be room; `jitter`, 0 to 1, spreads who come back.

        At least 1, and 5 to 8 when nobody knows how fast the backlog is worked off.
        """
        if not self.rate:
            return round(5 + 3 * jitter)
        excess = self.waiting - self.most * share(priority)
        seconds = min(_LONGEST_WAIT, max(1.0, excess / self.rate))
        return max(1, round(seconds * (1 + _JITTER * jitter)))


def most_within(seconds: float, *, rate: float) -> int:
    """Return how many tasks are worked off in so many seconds; at least one may always wait."""
    return max(1, int(min(seconds * rate, 2**31 - 1)))
