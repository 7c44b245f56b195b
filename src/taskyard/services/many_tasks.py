"""Many tasks: which ones are meant by what is done to all of them."""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage import many_tasks
from taskyard.storage.pool import OwnPool
from taskyard.storage.task_search import Search

MOST_TASKS = 100_000
AT_ONCE = 200  # in one transaction, so that nobody else waits long for a row
WITHIN = 20.0  # seconds: half of what a request may take

Instant = Annotated[datetime, Meta(tz=True)]


class TaskFilter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which tasks are meant, as `GET /v1/tasks` has it; what is not given does not matter."""

    type: str | None = None
    state: State | None = None
    pool: str | None = None
    labels: dict[str, str] = {}
    error: str | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None

    def search(self) -> Search:
        """Return the same for the database. Raises InvalidRequest for what it cannot hold."""
        given = msgspec.structs.asdict(self)
        texts = [("labels", each) for pair in self.labels.items() for each in pair]
        texts += [(name, value) for name, value in given.items() if isinstance(value, str)]
        if wrong := [name for name, value in texts if "\0" in value]:
            faults = tuple(Fault(f"/filter/{name}", "holds a NUL character") for name in wrong)
            raise InvalidRequest("the request has invalid fields", faults=faults)
        return Search(**given)


class ManyRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which tasks, and how many of them at most. An empty filter needs `all`."""

    filter: TaskFilter = msgspec.field(default_factory=TaskFilter)
    all: bool = False
    dry_run: bool = False
    limit: Annotated[int, Meta(ge=1, le=MOST_TASKS)] = 10_000


@dataclass(slots=True, kw_only=True)
class ManyReport:
    """What was done to many tasks, or would be.

    `count` of those in `states`, which they had when they were looked for, at `looked_at`. `more`
    says that the limit left some out, `left` counts those that time did not suffice for.
    """

    count: int = 0
    states: Mapping[State, int] = field(default_factory=dict)
    left: int = 0
    more: bool = False
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The tasks that are meant, the oldest first: found once, whatever comes meanwhile."""

    ids: tuple[TaskId, ...]
    states: Mapping[State, int]
    more: bool
    looked_at: datetime | None

    def some(self, *, within: float) -> Iterator[tuple[TaskId, ...]]:
        """Yield some at a time, until so many seconds have passed."""
        end = time.monotonic() + within
        for first in range(0, len(self.ids), AT_ONCE):
            if first and time.monotonic() >= end:
                return
            yield self.ids[first : first + AT_ONCE]


async def find_meant(
    pool: OwnPool,
    search: Search,
    wish: ManyRequest,
    *,
    states: Collection[State],
    other_than: int | None = None,
) -> Meant:
    """Find the tasks that a request means, of those in some states. Raises InvalidRequest.

    With `other_than`, those that have this priority already are not meant.
    """
    if search == Search() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every task is meant')
        raise InvalidRequest("the request does not say which tasks", faults=(fault,))
    # One more than asked for: whether there are more.
    found = await many_tasks.select(
        pool, search, states=states, other_than=other_than, limit=wish.limit + 1
    )
    return Meant(
        ids=found.ids(wish.limit),
        states=Counter(state for _, state in found.tasks[: wish.limit]),
        more=len(found.tasks) > wish.limit,
        looked_at=found.looked_at,
    )


def said(search: Search) -> dict[str, Any]:
    """Return what a search asks for, as the audit log shows it."""
    asked = {name: value for name, value in asdict(search).items() if value not in (None, {})}
    plain: dict[str, Any] = msgspec.to_builtins(asked)
    return plain
