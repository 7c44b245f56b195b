"""Replay of parked events: what was parked is looked at again, with the rules of today."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from taskyard.core.audit import Action
from taskyard.core.errors import EventNotFound, Fault, InvalidRequest, TaskyardError
from taskyard.core.events import EventKey, EventState, ParkReason
from taskyard.services import audit
from taskyard.services.cloudevents import Delivery
from taskyard.services.entry import Entry
from taskyard.services.event_document import to_event
from taskyard.services.event_entry import demands_of, room_for
from taskyard.services.event_filter import MOST_REPLAYED, ParkedFilter
from taskyard.services.fire import event_tasks, store_fired
from taskyard.services.inbox import Incoming, Taken, store
from taskyard.services.ingest import Ingest
from taskyard.storage import inbox, parked
from taskyard.storage.bounded import Bounded
from taskyard.storage.inbox import Verdict
from taskyard.storage.parked import NewParked, Parked, ParkedWanted
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed

_ROWS_AT_ONCE = 200
_PROBLEMS_SHOWN = 20


class ReplayParkedRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/events/parked/replay."""

    filter: ParkedFilter = msgspec.field(default_factory=ParkedFilter)
    all: bool = False
    dry_run: bool = False
    limit: Annotated[int, Meta(ge=1, le=MOST_REPLAYED)] = 10_000


@dataclass(slots=True, kw_only=True)
class ParkedReplayReport:
    """What a replay of parked events did or would do: `problems` are of those that stay parked.

    It was `stopped` where there was no room for the tasks of the next one.
    """

    count: int = 0
    released: int = 0
    tasks: int = 0
    more: bool = False
    stopped: TaskyardError | None = None
    problems: list[tuple[EventKey, ParkReason, str]] = field(default_factory=list)


async def replay_parked(
    pool: OwnPool, ingest: Ingest, entry: Entry, wish: ReplayParkedRequest, *, now: datetime
) -> ParkedReplayReport:
    """Look again at what the filter matches, the oldest first, every 200 in one transaction.

    What still cannot be used stays parked, with the reason of today. Raises InvalidRequest when
    nothing is asked for; BacklogFull and QuotaExceeded when nothing could be released.
    """
    if wish.filter == ParkedFilter() and not wish.all:
        fault = Fault("/filter", 'is empty; send {"all": true} if every parked event is meant')
        raise InvalidRequest("the request does not say which events", faults=(fault,))
    wanted, report, after = wish.filter.wanted(), ParkedReplayReport(), EventKey(UUID(int=0))
    while report.count < wish.limit and not report.stopped:
        some = min(_ROWS_AT_ONCE, wish.limit - report.count)
        take = partial(parked.take, wanted=wanted, after=after)
        if not wish.dry_run:
            some = await _room(pool, ingest, entry, partial(take, limit=some), report, now)
        async with borrowed(pool) as connection:
            found = await take(connection, limit=some)
            await _look_again(connection, ingest, found.rows, report, now, dry_run=wish.dry_run)
        if not found.rows or not found.more:
            report.more = report.stopped is not None
            return report
        after = found.rows[-1].key
    report.more = True
    return report


async def replay_one(
    pool: OwnPool, ingest: Ingest, entry: Entry, key: EventKey, *, now: datetime
) -> ParkedReplayReport:
    """Look again at one parked event. Raises EventNotFound, BacklogFull, QuotaExceeded."""
    report, start = ParkedReplayReport(), EventKey(UUID(int=0))
    take = partial(parked.take, wanted=ParkedWanted(), after=start, key=key, limit=1)
    await _room(pool, ingest, entry, take, report, now)
    async with borrowed(pool) as connection:
        found = await take(connection)
        if not found.rows:
            raise EventNotFound(f"there is no parked event {key}")
        await _look_again(connection, ingest, found.rows, report, now, dry_run=False)
    return report


async def _room(
    pool: OwnPool,
    ingest: Ingest,
    entry: Entry,
    take: Callable[[AsyncConnection], Awaitable[Bounded[Parked]]],
    report: ParkedReplayReport,
    now: datetime,
) -> int:
    """Return how many of the next ones there is room for; `report` is told what stopped it."""
    async with borrowed(pool) as connection:
        coming = await take(connection)
    looked = [_look(ingest, each, now) for each in coming.rows]
    groups = [[] if _problem(taken) else demands_of(taken) for taken in looked]
    admission = await room_for(entry, pool, groups, begun=report.released > 0)
    report.stopped = admission.refusal
    return admission.granted


async def _look_again(
    connection: AsyncConnection,
    ingest: Ingest,
    found: Sequence[Parked],
    report: ParkedReplayReport,
    now: datetime,
    *,
    dry_run: bool,
) -> None:
    looked = [(each, _look(ingest, each, now)) for each in found]
    fine = [(e, t) for e, t in looked if isinstance(t, Incoming) and not _problem(t)]
    still = {each.key: problem for each, taken in looked if (problem := _problem(taken))}
    report.count += len(looked)
    report.released += len(fine)
    report.tasks += sum(len(taken.decision.fired) for _, taken in fine)
    room = _PROBLEMS_SHOWN - len(report.problems)
    report.problems += [(key, *problem) for key, problem in list(still.items())[:room]]
    if dry_run:
        return
    await store(connection, [taken for each, taken in fine if each.document is None])
    await _release(connection, [taken for each, taken in fine if each.document is not None])
    await parked.unpark(connection, [each.key for each, _ in fine])
    if still:
        await parked.still(connection, still)
    if fine:
        span = {"count": len(fine), "first": str(fine[0][0].key), "last": str(fine[-1][0].key)}
        await audit.record(connection, Action.PARKED_EVENTS_REPLAYED, "parked-events", span)


def _look(ingest: Ingest, each: Parked, now: datetime) -> Taken:
    if each.document is not None:
        return ingest.consider(to_event(each.document), key=each.key, now=now)
    body = each.body or b""
    # It was cut, or its routing key is not kept: there is nothing to look at again.
    if len(body) < each.size or each.reason == ParkReason.ROUTING_KEY:
        return NewParked(key=each.key, reason=ParkReason(each.reason), detail=each.detail)
    delivery = Delivery(
        body=body,
        content_type=each.content_type,
        content_encoding=each.content_encoding,
        attributes=each.attributes or {},
        user_id=each.user_id,
    )
    return ingest.look(delivery, now=now, key=each.key)


def _problem(taken: Taken) -> tuple[ParkReason, str] | None:
    if isinstance(taken, NewParked):
        return taken.reason, taken.detail
    if taken.decision.state is EventState.PARKED:
        return ParkReason(taken.decision.reason or ParkReason.UNMATCHED), taken.decision.detail
    return None


async def _release(connection: AsyncConnection, events: Sequence[Incoming]) -> None:
    """Fire for events that are in the inbox already."""
    stored = await store_fired(connection, [f for each in events for f in each.decision.fired])
    verdicts = [
        Verdict(
            key=each.key,
            state=each.decision.state,
            reason=each.decision.reason,
            generation=1,
            tasks=event_tasks(each.decision, stored),
        )
        for each in events
    ]
    if verdicts:
        await inbox.set_verdicts(connection, verdicts)
