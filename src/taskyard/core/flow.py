"""The flow of a yard: what comes, waits, runs and ends in each pool, and where it jams."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

_DISPATCHER_GONE = 10.0  # seconds; it counts every one
_LONG = 5.0  # seconds that the first of those who wait is due, when all slots are busy


class Jam(StrEnum):
    """Why a pool does not do what waits in it, the gravest first."""

    NO_DISPATCHER = "no dispatcher"
    NO_BROKER = "broker away"
    NO_WORKER = "no worker"
    PAUSED = "paused"
    BUSY = "behind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """So many tasks, and attempts begun, in a second; `failed` counts quarantined ones as well."""

    accepted: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    failed: float = 0.0

    def __add__(self, other: "Rates") -> "Rates":
        return Rates(
            accepted=self.accepted + other.accepted,
            started=self.started + other.started,
            ended=self.ended + other.ended,
            failed=self.failed + other.failed,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolFlow:
    """One pool: `waiting` for room and `held` by the broker, each by priority; `later` is not due.

    `oldest` is for how many seconds the first of them is due.
    """

    name: str
    workers: int = 0
    slots: int = 0
    running: int = 0
    window: int = 0
    later: int = 0
    oldest: float = 0.0
    paused: bool = False
    waiting: Mapping[int, int] = field(default_factory=dict)
    held: Mapping[int, int] = field(default_factory=dict)
    rates: Rates = Rates()

    @property
    def due(self) -> int:
        """How many tasks are due and have not begun."""
        return sum(self.waiting.values()) + sum(self.held.values())

    @property
    def jam(self) -> Jam | None:
        """What holds the pool up, as far as it is the pool's own."""
        if self.paused:
            return Jam.PAUSED
        if not self.due:
            return None
        if not self.workers:
            return Jam.NO_WORKER
        return Jam.BUSY if self.running >= self.slots and self.oldest >= _LONG else None


@dataclass(frozen=True, slots=True, kw_only=True)
class YardFlow:
    """All pools in the order of the routing table.

    `events` come in a second, by the broker or over HTTP; `from_events` tasks are made of them.
    `silent` is for how many seconds no dispatcher has counted; None: never.
    """

    pools: tuple[PoolFlow, ...]
    broker_up: bool
    silent: float | None
    events: float = 0.0
    from_events: float = 0.0

    @property
    def rates(self) -> Rates:
        """Those of all pools together."""
        return sum((pool.rates for pool in self.pools), Rates())

    @property
    def jam(self) -> Jam | None:
        """What holds everything up."""
        if self.silent is None or self.silent >= _DISPATCHER_GONE:
            return Jam.NO_DISPATCHER
        return None if self.broker_up else Jam.NO_BROKER

    def headline(self) -> str:
        """Say in a sentence or two where it jams."""
        match self.jam:
            case Jam.NO_DISPATCHER:
                return "No dispatcher runs: nothing that waits is published."
            case Jam.NO_BROKER:
                return "The message broker does not answer: nothing that waits is published."
        jams = [(pool, jam) for pool in self.pools if (jam := pool.jam)]
        jams.sort(key=lambda each: list(Jam).index(each[1]))
        return " ".join(_said(pool, jam) for pool, jam in jams) or "Everything flows."


def _said(pool: PoolFlow, jam: Jam) -> str:
    waits = f"{pool.due:,} {'waits' if pool.due == 1 else 'wait'}"
    match jam:
        case Jam.PAUSED:
            return f"{pool.name} is paused, {waits}."
        case Jam.NO_WORKER:
            return f"{pool.name} has no worker, {waits}."
    return f"{pool.name} is behind: all {pool.slots} slots are busy, {waits}."
