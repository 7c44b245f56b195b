"""When a failed attempt is followed by another."""

from dataclasses import dataclass
from datetime import timedelta

# Beyond this many doublings every sensible cap is reached; without a bound the float overflows.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter, bounded by a cap and a number of attempts.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """

    max_attempts: int = 3
    base: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=10)

    def delay_after(self, attempt: int, *, jitter: float) -> timedelta | None:
        """Return the wait before the next attempt, or None when the attempts are used up.

        `attempt` counts from 1; `jitter` is drawn from [0, 1) by the caller.
        """
        if attempt >= self.max_attempts:
            return None
        doublings = min(attempt - 1, _MOST_DOUBLINGS)
        ceiling = min(self.cap.total_seconds(), self.base.total_seconds() * 2.0**doublings)
        return timedelta(seconds=ceiling * jitter)
