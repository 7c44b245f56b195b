"""Statistics: what is counted of tasks, and how durations are sorted into buckets."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

# Seconds; from a wake-up that is claimed at once to an hour. Rows in the database are sorted by
# them: whoever changes them has to begin anew.
BOUNDS = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
    3600.0,
)  # fmt: skip


class Change(StrEnum):
    """What happened to a task, as far as it is counted.

    `dispatched` comes with the time since the task was due, `started` likewise, and what ends an
    attempt with the time it ran. `crashed` and `reaped` come beside what the crash led to.
    """

    ACCEPTED = "accepted"
    DISPATCHED = "dispatched"
    STARTED = "started"
    RETRIED = "retried"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    QUARANTINED = "quarantined"
    REPLAYED = "replayed"
    CRASHED = "crashed"
    REAPED = "reaped"


ENDINGS = (
    Change.SUCCEEDED,
    Change.FAILED,
    Change.CANCELLED,
    Change.EXPIRED,
    Change.QUARANTINED,
)
RUNS = (*ENDINGS, Change.RETRIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long something took, so many times.

    `buckets` are counts, one for each bound and one for what took longer than the last.
    """

    seconds: float = 0.0
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def __add__(self, other: "Durations") -> "Durations":
        pairs = zip(self.buckets, other.buckets, strict=True)
        return Durations(
            seconds=self.seconds + other.seconds, buckets=tuple(a + b for a, b in pairs)
        )

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.buckets)

    @property
    def mean(self) -> float | None:
        """The mean in seconds; None without any."""
        return self.seconds / self.count if self.count else None

    def percentile(self, share: float) -> float | None:
        """Return about how many seconds this share took at most; None without any.

        Within a bucket they are taken to be spread evenly, as histogram_quantile() of Prometheus
        has it; beyond the last bound it is that bound.
        """
        return _percentile(self.buckets, share * self.count) if self.count else None


def _percentile(buckets: Sequence[int], rank: float) -> float:
    below, low = 0, 0.0
    for high, count in zip(BOUNDS, buckets, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * (rank - below) / count
        below, low = below + count, high
    return BOUNDS[-1]
