"""Replay of many tasks that a search finds, cancelled ones as well."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from taskyard.core.audit import Action
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.services import audit
from taskyard.services.many_tasks import WITHIN, ManyRequest, Meant, TaskFilter, find_meant, said
from taskyard.services.replay_each import Today, replay_each
from taskyard.services.replay_report import ReplayOptions, ReplayReport
from taskyard.storage import many_tasks
from taskyard.storage.dead_letters import Seen
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed
from taskyard.storage.task_search import Search

_STATES = frozenset({State.FAILED, State.EXPIRED, State.QUARANTINED, State.CANCELLED})


class ReplayTasksRequest(ReplayOptions, kw_only=True):
    """The body of POST /v1/tasks/replay: `rate` is in tasks a second."""

    filter: TaskFilter = msgspec.field(default_factory=TaskFilter)


async def replay_tasks(
    pool: OwnPool,
    search: Search,
    wish: ReplayTasksRequest,
    *,
    today: Today,
    within: float = WITHIN,
) -> tuple[ReplayReport, Meant]:
    """Replay what is found and has not succeeded, or only tell what would become of it.

    Raises InvalidRequest when nothing is asked for, and what `replay_each` raises.
    """
    asked = ManyRequest(all=wish.all, limit=wish.limit)
    meant = await find_meant(pool, search, asked, states=_STATES)

    async def record(connection: AsyncConnection, replayed: int) -> None:
        detail = {"count": replayed, "filter": said(search)}
        await audit.record(connection, Action.TASKS_REPLAYED, "tasks", detail)

    found = _Found(pool, meant.ids)
    report = await replay_each(pool, found, wish, today=today, record=record, within=within)
    report.more = meant.more
    return report, meant


@dataclass(frozen=True, slots=True)
class _Found:
    """The tasks that were found, as long as they may be replayed."""

    pool: OwnPool
    ids: Sequence[TaskId] = field(repr=False)

    async def following(self, *, after: TaskId, limit: int) -> Sequence[Seen]:
        seen: list[Seen] = []
        begin = bisect_right(self.ids, after)
        # Some may have changed meanwhile: fewer than `limit` would say that there are no more.
        while len(seen) < limit and (some := self.ids[begin : begin + limit - len(seen)]):
            async with borrowed(self.pool) as connection:
                seen += await many_tasks.look_at(connection, some)
            begin += len(some)
        return seen

    async def count(self, *, after: TaskId, at_most: int) -> int:
        return min(len(self.ids) - bisect_right(self.ids, after), at_most)
