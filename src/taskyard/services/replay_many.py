"""Replay of many dead letters at once, each looked at as if it were submitted today."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from taskyard.core.audit import Action
from taskyard.core.backlog import Demand
from taskyard.core.errors import Fault, InvalidRequest, Refused, TaskyardError
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.task import NewTask, TaskId
from taskyard.services import audit
from taskyard.services.catalog import Catalog
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.entry import Entry
from taskyard.services.submit import Submission, prepare
from taskyard.storage import dead_letters, tasks
from taskyard.storage.dead_letters import Criteria, ReasonGroup, Seen
from taskyard.storage.pool import OwnPool, borrowed

MOST_REPLAYED = 100_000
_ROWS_AT_ONCE = 200  # with their arguments, which may be large
_GROUPS_SHOWN = 50
_REFUSALS_SHOWN = 20


class ReplayManyRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/dead-letters/replay: `rate` is in tasks a second."""

    filter: DeadLetterFilter = msgspec.field(default_factory=DeadLetterFilter)
    all: bool = False
    dry_run: bool = False
    rate: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_REPLAYED)] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A dead letter that would be refused if it were submitted today, and why."""

    id: TaskId
    code: str
    detail: str


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What a replay of many did or would do: `more` says that the limit left some out.

    `refused` counts what stays as it is; the first of them are in `refusals`. `left` were not
    looked at, because it was `stopped`: there was no room for more.
    """

    count: int = 0
    refused: int = 0
    more: bool = False
    left: int = 0
    stopped: TaskyardError | None = None
    groups: tuple[ReasonGroup, ...] = ()
    refusals: list[Refusal] = field(default_factory=list)


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

    Each is checked like a submission of today, and goes to the pool that runs its type today; what
    is refused stays. It stops where there is no room for more. When the request breaks off, what
    was replayed stays so, and the same request replays the rest. Raises InvalidRequest when nothing
    is asked for, and BacklogFull or QuotaExceeded when nothing could be replayed.
    """
    if wish.filter == DeadLetterFilter() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every dead letter is meant')
        raise InvalidRequest("the request does not say which dead letters", faults=(fault,))
    wanted = wish.filter.criteria()
    report = ReplayReport(groups=await _groups(pool, wanted) if wish.dry_run else ())
    looked, after = 0, TaskId(UUID(int=0))
    while looked < wish.limit and not report.stopped:
        some = min(_ROWS_AT_ONCE, wish.limit - looked)
        async with borrowed(pool) as connection:
            # Walked by id, so that what fails again at once is not replayed again by this request.
            seen = await dead_letters.following(connection, wanted, after=after, limit=some)
        checked = [
            (each, _check(each, tenant=pool.owner.tenant, table=table, catalog=catalog, now=now))
            for each in seen
        ]
        done = await _replay(pool, checked, wish, report, entry=entry)
        if len(seen) < some and not report.stopped:
            return report
        looked, after = looked + done, seen[done - 1].id if done else after
    await _tell_of_the_rest(pool, wanted, report, after=after, asked=wish.limit - looked)
    return report


async def _groups(pool: OwnPool, wanted: Criteria) -> tuple[ReasonGroup, ...]:
    async with borrowed(pool) as connection:
        return tuple(await dead_letters.groups(connection, wanted, limit=_GROUPS_SHOWN))


async def _replay(
    pool: OwnPool,
    checked: Sequence[tuple[Seen, NewTask | Refused]],
    wish: ReplayManyRequest,
    report: ReplayReport,
    *,
    entry: Entry,
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
    replayed = await _store(pool, fit, wish, offset=report.count) if fit else 0
    report.count += replayed
    if report.stopped and not report.count:
        raise report.stopped
    _count_refused(report, checked)
    return len(checked)


async def _store(
    pool: OwnPool, fit: Sequence[tuple[Seen, str]], wish: ReplayManyRequest, *, offset: int
) -> int:
    """Return how many were replayed, or would be."""
    if wish.dry_run:
        return len(fit)
    async with borrowed(pool) as connection:
        replayed = await dead_letters.replay_many(connection, fit, offset=offset, rate=wish.rate)
        await tasks.ring(connection)
        if replayed:
            detail = {"count": replayed, "filter": msgspec.to_builtins(wish.filter)}
            await audit.record(connection, Action.DEAD_LETTERS_REPLAYED, "dead-letters", detail)
    return replayed


def _check(
    seen: Seen, *, tenant: TenantId, table: RoutingTable, catalog: Catalog, now: datetime
) -> NewTask | Refused:
    """Return what a dead letter would be if it were submitted today, or why it would be refused."""
    submission = Submission(type=seen.type, args=seen.args)
    try:
        return prepare(submission, tenant=tenant, table=table, catalog=catalog, now=now)[0]
    except Refused as error:
        return error


def _count_refused(report: ReplayReport, checked: Sequence[tuple[Seen, NewTask | Refused]]) -> None:
    for seen, error in checked:
        if isinstance(error, Refused):
            report.refused += 1
            if len(report.refusals) < _REFUSALS_SHOWN:
                detail = "; ".join((error.detail, *map(str, error.faults)))
                report.refusals.append(Refusal(id=seen.id, code=error.code, detail=detail))


async def _tell_of_the_rest(
    pool: OwnPool, wanted: Criteria, report: ReplayReport, *, after: TaskId, asked: int
) -> None:
    """Count those that were asked for and are left; there may be more that were not asked for."""
    async with borrowed(pool) as connection:
        found = await dead_letters.count(connection, wanted, after=after, at_most=asked + 1)
    report.left, report.more = min(found, asked), found > asked
