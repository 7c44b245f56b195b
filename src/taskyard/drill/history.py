"""What a drill has seen: the evidence that the checks judge. Pure data."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from taskyard.core.states import State

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

# Statuses that do not judge the request: one with the same key is under way; too many.
WAIT = frozenset({409, 429})


class Kind(StrEnum):
    """What the client's log says of one request."""

    INVOKE = "invoke"
    OK = "ok"  # 202
    FAIL = "fail"  # a definite refusal: 4xx, or 503 without `outcome-unknown`
    UNKNOWN = "unknown"  # no answer, or one that says nothing definite


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A line of the client's log. Submissions are numbered; a retry has the same number."""

    number: int
    kind: Kind
    type: str
    at: float  # monotonic seconds
    key: str | None = None  # Idempotency-Key
    status: int | None = None
    task_id: str | None = None
    said: str | None = None  # why it was refused


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """A row of `tasks` at the end. `number` is that of the submission, kept in a label."""

    id: str
    number: int | None
    type: str
    state: State
    attempt: int
    event_seq: int
    generation: int = 1
    max_crashes: int = 3
    result: Any = None
    reason: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """A row of `task_events`."""

    task_id: str
    seq: int
    state: State
    attempt: int
    at: datetime
    generation: int = 1
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One committed change of a row of `tasks`, as the drill's own trigger recorded it."""

    task_id: str
    order: int
    state: State
    attempt: int
    generation: int = 1
    token: str | None = None
    outcome: str | None = None  # a digest of result and error


class Phase(StrEnum):
    """When an attempt wrote to the ledger, or that its effect was committed."""

    BEGAN = "began"
    DONE = "done"
    COMMITTED = "committed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What one attempt did to the world outside."""

    task_id: str
    key: str
    attempt: int
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRest:
    """What a queue still holds."""

    name: str
    ready: int
    unacked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What is left: in queues while all is quiet, and connections once every role has stopped."""

    queues: tuple[QueueRest, ...] = ()
    database_connections: int = 0
    broker_connections: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fault that has struck, whom, and when it was healed, in monotonic seconds."""

    name: str
    hit: str
    struck_at: float
    healed_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Everything known of one drill after it has come to rest."""

    entries: tuple[Entry, ...]
    tasks: tuple[TaskRow, ...]
    events: tuple[EventRow, ...]
    writes: tuple[Write, ...] = ()
    ledger: tuple[Effect, ...] = ()
    committed: tuple[Effect, ...] = ()  # transactional effects: rows of the tested database
    rest: Rest = Rest()
    # The states in which tasks of a type may end, for those types that are sure of it.
    ends: Mapping[str, frozenset[State]] = field(default_factory=dict)
    transactional: frozenset[str] = frozenset()  # types that write in the finishing transaction
    # What to add to monotonic seconds for seconds since 1970, the clock of the database's events.
    clock_offset: float = 0.0

    def wall(self, monotonic: float) -> float:
        """Return the seconds since 1970 of a monotonic time."""
        return monotonic + self.clock_offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise that was not kept."""

    invariant: str
    sentence: str
    task_ids: tuple[str, ...] = ()


def grouped(items: Iterable[T], key: Callable[[T], K]) -> dict[K, list[T]]:
    """Return the items by key, each group in the given order."""
    groups: defaultdict[K, list[T]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
