"""Replay of many dead letters at once, each looked at as if it were submitted today."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from taskyard.core.audit import Action
from taskyard.core.errors import Fault, InvalidRequest, Refused
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.task import TaskId
from taskyard.services import audit
from taskyard.services.catalog import Catalog
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.submit import Submission, prepare
from taskyard.storage import dead_letters, tasks
from taskyard.storage.dead_letters import Criteria, ReasonGroup, Seen
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed

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

    `refused` counts what stays as it is; the first of them are in `refusals`.
    """

    count: int = 0
    refused: int = 0
    more: bool = False
    groups: tuple[ReasonGroup, ...] = ()
    refusals: list[Refusal] = field(default_factory=list)


async def replay_many(
    pool: OwnPool, wish: ReplayManyRequest, *, table: RoutingTable, catalog: Catalog, now: datetime
) -> ReplayReport:
    """Replay what the filter matches, the oldest first, or only tell what would become of it.

    Each is checked like a submission of today, and goes to the pool that runs its type today; what
    is refused stays. When the request breaks off, what was replayed stays so, and the same request
    replays the rest. Raises InvalidRequest when nothing is asked for.
    """
    if wish.filter == DeadLetterFilter() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every dead letter is meant')
        raise InvalidRequest("the request does not say which dead letters", faults=(fault,))
    wanted = wish.filter.criteria()
    report = ReplayReport(groups=await _groups(pool, wanted) if wish.dry_run else ())
    looked, after = 0, TaskId(UUID(int=0))
    while looked < wish.limit:
        some = min(_ROWS_AT_ONCE, wish.limit - looked)
        async with borrowed(pool) as connection:
            # Walked by id, so that what fails again at once is not replayed again by this request.
            seen = await dead_letters.following(connection, wanted, after=after, limit=some)
            fit = _fit(
                seen, report, tenant=pool.owner.tenant, table=table, catalog=catalog, now=now
            )
            report.count += await _replay(connection, fit, wish, offset=report.count)
        if len(seen) < some:
            return report
        looked, after = looked + len(seen), seen[-1].id
    report.more = await _are_more(pool, wanted, after)
    return report


async def _groups(pool: OwnPool, wanted: Criteria) -> tuple[ReasonGroup, ...]:
    async with borrowed(pool) as connection:
        return tuple(await dead_letters.groups(connection, wanted, limit=_GROUPS_SHOWN))


async def _replay(
    connection: AsyncConnection,
    fit: Sequence[tuple[Seen, str]],
    wish: ReplayManyRequest,
    *,
    offset: int,
) -> int:
    """Return how many were replayed, or would be."""
    if wish.dry_run or not fit:
        return len(fit)
    replayed = await dead_letters.replay_many(connection, fit, offset=offset, rate=wish.rate)
    await tasks.ring(connection)
    if replayed:
        detail = {"count": replayed, "filter": msgspec.to_builtins(wish.filter)}
        await audit.record(connection, Action.DEAD_LETTERS_REPLAYED, "dead-letters", detail)
    return replayed


def _fit(
    seen: Sequence[Seen],
    report: ReplayReport,
    *,
    tenant: TenantId,
    table: RoutingTable,
    catalog: Catalog,
    now: datetime,
) -> list[tuple[Seen, str]]:
    """Return what may run today, each with its pool; count the rest as refused."""
    fit = []
    for each in seen:
        submission = Submission(type=each.type, args=each.args)
        try:
            checked, _ = prepare(submission, tenant=tenant, table=table, catalog=catalog, now=now)
        except Refused as error:
            report.refused += 1
            if len(report.refusals) < _REFUSALS_SHOWN:
                detail = "; ".join((error.detail, *map(str, error.faults)))
                report.refusals.append(Refusal(id=each.id, code=error.code, detail=detail))
        else:
            fit.append((each, checked.pool))
    return fit


async def _are_more(pool: OwnPool, wanted: Criteria, after: TaskId) -> bool:
    async with borrowed(pool) as connection:
        return bool(await dead_letters.following(connection, wanted, after=after, limit=1))
