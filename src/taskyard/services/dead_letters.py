"""Dead letters: which there are, what they have in common, and many replayed at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage import dead_letters, tasks
from taskyard.storage.dead_letters import Criteria, ReasonGroup
from taskyard.storage.pool import Pool, borrowed

MOST_REPLAYED = 100_000
_ROWS_AT_ONCE = 1_000
_GROUPS_SHOWN = 50

Instant = Annotated[datetime, Meta(tz=True)]


class DeadLetterFilter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters are meant; what is not given does not matter."""

    type: str | None = None
    pool: str | None = None
    state: Literal["failed", "expired", "quarantined"] | None = None
    code: str | None = None
    labels: dict[str, str] = {}
    finished_after: Instant | None = None
    finished_before: Instant | None = None

    def criteria(self) -> Criteria:
        """Return the same for the database."""
        return Criteria(
            type=self.type,
            pool=self.pool,
            state=State(self.state) if self.state else None,
            code=self.code,
            labels=dead_letters.labels_text(self.labels),
            finished_after=self.finished_after,
            finished_before=self.finished_before,
        )


class ReplayManyRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/dead-letters/replay: `rate` is in tasks a second."""

    filter: DeadLetterFilter = msgspec.field(default_factory=DeadLetterFilter)
    all: bool = False
    dry_run: bool = False
    rate: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_REPLAYED)] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What a replay of many did or would do: `more` says that the limit left some out."""

    count: int
    more: bool
    groups: tuple[ReasonGroup, ...] = ()


async def replay_many(pool: Pool, wish: ReplayManyRequest) -> ReplayReport:
    """Replay what the filter matches, the oldest first, or only tell what it matches.

    Each thousand is a transaction of its own: when the request breaks off, what was replayed is,
    and the same request replays the rest. Raises InvalidRequest when nothing is asked for.
    """
    if wish.filter == DeadLetterFilter() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every dead letter is meant')
        raise InvalidRequest("the request does not say which dead letters", faults=(fault,))
    wanted = wish.filter.criteria()
    if wish.dry_run:
        return await _foresee(pool, wanted, limit=wish.limit)
    count, after = 0, TaskId(UUID(int=0))
    while count < wish.limit:
        some = min(_ROWS_AT_ONCE, wish.limit - count)
        async with borrowed(pool) as connection:
            # Walked by id, so that what fails again at once is not replayed again by this request.
            replayed = await dead_letters.replay_next(
                connection, wanted, after=after, offset=count, rate=wish.rate, limit=some
            )
            await tasks.ring(connection)
        count += len(replayed)
        if len(replayed) < some:
            return ReplayReport(count=count, more=False)
        after = replayed[-1]
    return ReplayReport(count=count, more=True)


async def _foresee(pool: Pool, wanted: Criteria, *, limit: int) -> ReplayReport:
    async with borrowed(pool) as connection:
        groups = await dead_letters.groups(connection, wanted, limit=_GROUPS_SHOWN)
    total = groups[0].total if groups else 0
    return ReplayReport(count=min(total, limit), more=total > limit, groups=tuple(groups))
