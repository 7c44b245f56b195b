"""Replay of many dead letters at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from taskyard.core.audit import Action
from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.routing import RoutingTable
from taskyard.core.task import TaskId
from taskyard.services import audit
from taskyard.services.catalog import Catalog
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.entry import Entry
from taskyard.services.replay_each import Today, replay_each
from taskyard.services.replay_report import ReplayOptions, ReplayReport
from taskyard.storage import dead_letters
from taskyard.storage.dead_letters import Criteria, ReasonGroup, Seen
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed

_GROUPS_SHOWN = 50


class ReplayManyRequest(ReplayOptions, kw_only=True):
    """The body of POST /v1/dead-letters/replay: `rate` is in tasks a second."""

    filter: DeadLetterFilter = msgspec.field(default_factory=DeadLetterFilter)


async def replay_many(
    pool: OwnPool,
    wish: ReplayManyRequest,
    *,
    table: RoutingTable,
    catalog: Catalog,
    entry: Entry,
    now: datetime,
) -> ReplayReport:
    """Replay what the filter matches, the oldest first, or only tell what would become of it.

    When the request breaks off, what was replayed stays so, and the same request replays the rest.
    Raises InvalidRequest when nothing is asked for, and what `replay_each` raises.
    """
    if wish.filter == DeadLetterFilter() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every dead letter is meant')
        raise InvalidRequest("the request does not say which dead letters", faults=(fault,))
    letters = _Matching(pool, wish.filter.criteria())

    async def record(connection: AsyncConnection, replayed: int) -> None:
        detail = {"count": replayed, "filter": msgspec.to_builtins(wish.filter)}
        await audit.record(connection, Action.DEAD_LETTERS_REPLAYED, "dead-letters", detail)

    return await replay_each(
        pool, letters, wish,
        today=Today(table=table, catalog=catalog, entry=entry, now=now), record=record,
        groups=await letters.groups() if wish.dry_run else (),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Matching:
    """The dead letters that match."""

    pool: OwnPool
    wanted: Criteria

    async def following(self, *, after: TaskId, limit: int) -> Sequence[Seen]:
        async with borrowed(self.pool) as connection:
            return await dead_letters.following(connection, self.wanted, after=after, limit=limit)

    async def count(self, *, after: TaskId, at_most: int) -> int:
        async with borrowed(self.pool) as connection:
            return await dead_letters.count(connection, self.wanted, after=after, at_most=at_most)

    async def groups(self) -> tuple[ReasonGroup, ...]:
        async with borrowed(self.pool) as connection:
            return tuple(await dead_letters.groups(connection, self.wanted, limit=_GROUPS_SHOWN))
