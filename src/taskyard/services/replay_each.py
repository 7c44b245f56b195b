"""Replay of many tasks, each looked at as if it were submitted today."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from taskyard.core.backlog import Demand
from taskyard.core.errors import Refused
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.task import NewTask, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.many_tasks import AT_ONCE, WITHIN
from taskyard.services.replay_report import ReplayOptions, ReplayReport
from taskyard.services.submit import Submission, prepare
from taskyard.storage import dead_letters, tasks
from taskyard.storage.dead_letters import ReasonGroup, Seen
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed

# Records, in the transaction that does it, that so many were replayed.
Record = Callable[[AsyncConnection, int], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Today:
    """What a task is held against that runs again."""

    table: RoutingTable
    catalog: Catalog
    entry: Entry
    now: datetime


class Source(Protocol):
    """Where the tasks come from, the oldest first."""

    async def following(self, *, after: TaskId, limit: int) -> Sequence[Seen]:
        """Return up to `limit` above an id; fewer when there are no more."""

    async def count(self, *, after: TaskId, at_most: int) -> int:
        """Count those above an id, up to a bound."""


async def replay_each(
    pool: OwnPool,
    source: Source,
    wish: ReplayOptions,
    *,
    today: Today,
    record: Record,
    groups: tuple[ReasonGroup, ...] = (),
    within: float = WITHIN,
) -> ReplayReport:
    """Replay what a source has, or only tell what would become of it; `within` is in seconds.

    Each is checked like a submission of today, and goes to the pool that runs its type today; what
    is refused stays. It stops where there is no room for more, and when time is up. Raises
    BacklogFull or QuotaExceeded when nothing could be replayed.
    """
    report = ReplayReport(groups=groups)
    looked, after = 0, TaskId(UUID(int=0))
    end = time.monotonic() + within
    while looked < wish.limit and not report.stopped and (not looked or time.monotonic() < end):
        some = min(AT_ONCE, wish.limit - looked)
        # Walked by id, so that what fails again at once is not replayed again by this request.
        seen = await source.following(after=after, limit=some)
        checked = [(each, _check(each, tenant=pool.owner.tenant, today=today)) for each in seen]
        done = await _replay(pool, checked, wish, report, entry=today.entry, record=record)
        if len(seen) < some and not report.stopped:
            return report
        looked, after = looked + done, seen[done - 1].id if done else after
    # Those that were asked for and are left; there may be more that were not asked for.
    asked = wish.limit - looked
    found = await source.count(after=after, at_most=asked + 1)
    report.left, report.more = min(found, asked), found > asked
    return report


async def _replay(
    pool: OwnPool,
    checked: Sequence[tuple[Seen, NewTask | Refused]],
    wish: ReplayOptions,
    report: ReplayReport,
    *,
    entry: Entry,
    record: Record,
) -> int:
    """Replay what there is room for, and report it; return how many have been dealt with."""
    if not wish.dry_run:
        # What was stored before adds no bytes.
        groups = [
            [] if isinstance(new, Refused) else [Demand(new.pool, seen.priority, 0)]
            for seen, new in checked
        ]
        admission = await entry.let_in(pool.owner.tenant, groups)
        report.stopped = admission.refusal
        checked = checked[: admission.granted]
    fit = [(seen, new.pool) for seen, new in checked if isinstance(new, NewTask)]
    stores = fit and not wish.dry_run
    report.count += await _store(pool, fit, wish, report.count, record) if stores else len(fit)
    if report.stopped and not report.count:
        raise report.stopped
    for seen, error in checked:
        if isinstance(error, Refused):
            report.refuse(seen.id, error)
    return len(checked)


async def _store(
    pool: OwnPool, fit: Sequence[tuple[Seen, str]], wish: ReplayOptions, offset: int, record: Record
) -> int:
    """Return how many were replayed."""
    async with borrowed(pool) as connection:
        replayed = await dead_letters.replay_many(connection, fit, offset=offset, rate=wish.rate)
        await tasks.ring(connection)
        if replayed:
            await record(connection, replayed)
    return replayed


def _check(seen: Seen, *, tenant: TenantId, today: Today) -> NewTask | Refused:
    """Return what a task would be if it were submitted today, or why it would be refused."""
    submission = Submission(type=seen.type, args=seen.args)
    try:
        return prepare(
            submission, tenant=tenant, table=today.table, catalog=today.catalog, now=today.now
        )[0]
    except Refused as error:
        return error
