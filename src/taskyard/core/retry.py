"""When a failed attempt is followed by another."""

from dataclasses import dataclass
from datetime import timedelta

# Beyond this many doublings every sensible cap is reached; without a bound the float overflows.
_MOST_DOUBLINGS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with full jitter, bounded by a cap and a number of attempts.

    `max_attempts` bounds the attempts that end in an error; those whose worker process died are
    counted apart, by `max_crashes`. `permanent` names exceptions that no further attempt can help
    against: a class's own name or its dotted path, which holds for its subclasses too.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").
    """

    max_attempts: int = 3
    base: timedelta = timedelta(seconds=2)
    cap: timedelta = timedelta(minutes=10)
    max_crashes: int = 3
    permanent: tuple[str, ...] = ()

    def delay_after(self, errors: int, *, jitter: float) -> timedelta | None:
        """Return the wait before the next attempt, or None when the attempts are used up.

        `errors` counts the attempts that ended in an error, the latest included; `jitter` is drawn
        from [0, 1) by the caller.
        """
        if errors >= self.max_attempts:
            return None
        doublings = min(errors - 1, _MOST_DOUBLINGS)
        ceiling = min(self.cap.total_seconds(), self.base.total_seconds() * 2.0**doublings)
        return timedelta(seconds=ceiling * jitter)

    def is_permanent(self, error: BaseException) -> bool:
        """Return whether the policy names this error, or a class it is made from."""
        return any(
            name in self.permanent
            for kind in type(error).__mro__
            for name in (kind.__name__, f"{kind.__module__}.{kind.__qualname__}")
        )
