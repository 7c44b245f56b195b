"""The bound of a backlog: who is still let in when much waits, and when to come again.

Low priorities are shed first, and of the tenants those that hold most: one that holds less than its
fair share is let in beyond the bound, up to a hard end. Its tasks need not wait for those of the
others (core/fairness.py), so it is not made to pay for them here either.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from taskyard.core.principal import TenantId

_MODERATE, _CRITICAL = 4, 8  # the lowest priorities that count as such
_HARD_END = 1.25  # of the bound: up to it for tenants that hold less than their fair share
_NEAR = 0.5  # of the bound: from here on it matters who holds how much
_LONGEST_WAIT = 3600.0  # seconds that anybody is told to stay away
_JITTER = 0.5


@dataclass(frozen=True, slots=True)
class Demand:
    """What a task that is to wait asks room for: the bytes are those that it adds."""

    pool: str
    priority: int
    size: int


@dataclass(frozen=True, slots=True)
class Holding:
    """How many tasks of a tenant wait, and what the tenant weighs."""

    waiting: int
    weight: float = 1.0


def share(priority: int) -> float:
    """Return how much of a bound a priority may use: the lowest are shed first."""
    if priority >= _CRITICAL:
        return 1.0
    return 0.9 if priority >= _MODERATE else 0.8


def hard_end(most: int) -> int:
    """Return how many may wait at a bound of so many, whoever they belong to."""
    return int(most * _HARD_END)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """How many wait, how many may, and how many leave in a second, if that is known.

    `holdings` are those of the tenants that wait; None if nobody has looked.
    """

    waiting: int
    most: int
    rate: float | None = None
    holdings: Mapping[TenantId, Holding] | None = field(default=None, hash=False)

    @property
    def is_near(self) -> bool:
        """Whether so much waits that the holdings of the tenants may soon matter."""
        return self.waiting >= self.most * _NEAR

    def admits(
        self, priority: int, tenant: TenantId, *, more: int = 0, held: int = 0, own: int = 0
    ) -> bool:
        """Return whether a tenant's task may come in, after `more` since these were counted.

        `held` of them are the tenant's, and `own` those before it in a group that comes in
        together. A group that is larger than the bound does so while nothing else waits: it never
        would else.
        """
        before = self.waiting + more
        if before + own < self.most * share(priority) or (own > 0 and before == 0):
            return True
        beyond = self.most * share(priority) * _HARD_END
        return before + own < beyond and self._holds_less(priority, tenant, held + own)

    def _holds_less(self, priority: int, tenant: TenantId, since: int) -> bool:
        """Whether a tenant holds less than its fair share among those that wait, and itself."""
        if self.holdings is None:
            return False
        holds = self.holdings.get(tenant, Holding(0))
        others = sum(each.weight for who, each in self.holdings.items() if who != tenant)
        fair = self.most * share(priority) * holds.weight / (others + holds.weight)
        return holds.waiting + since < fair

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
