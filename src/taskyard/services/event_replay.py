"""Replay of events: the rules of today fire again for what is in the log, as a new generation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from taskyard.core.audit import Action
from taskyard.core.errors import Fault, InvalidRequest, TaskyardError
from taskyard.core.events import EventKey, EventState
from taskyard.core.retention import first_id_at
from taskyard.core.routing import RoutingTable
from taskyard.services import audit
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.event_document import to_event
from taskyard.services.event_entry import demands, room_for
from taskyard.services.event_filter import MOST_REPLAYED, Instant, type_regex
from taskyard.services.field_types import TopicPattern
from taskyard.services.fire import Decision, decide, event_tasks, store_fired
from taskyard.storage import inbox, parked
from taskyard.storage.inbox import StoredEvent, Verdict
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed

_ROWS_AT_ONCE = 500


class ReplayEventsRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/events/replay: events received from `after` to below `before`.

    `cursor` is the `next_cursor` of the report before, when the limit left some out.
    """

    after: Instant
    before: Instant
    match: TopicPattern = "#"
    dry_run: bool = False
    limit: Annotated[int, Meta(ge=1, le=MOST_REPLAYED)] = 10_000
    cursor: str | None = None


@dataclass(slots=True, kw_only=True)
class EventReplayReport:
    """What a replay of events did or would do: `last` is where to go on, if there may be more.

    It was `stopped` where there was no room for the tasks of the next one.
    """

    events: int = 0
    fired: int = 0
    unmatched: int = 0
    refused: int = 0
    tasks: Counter[str] = field(default_factory=Counter)
    last: EventKey | None = None
    stopped: TaskyardError | None = None


async def replay_events(
    pool: OwnPool,
    wish: ReplayEventsRequest,
    *,
    table: RoutingTable,
    catalog: Catalog,
    entry: Entry,
    now: datetime,
    after: EventKey | None,
) -> EventReplayReport:
    """Fire the rules again for recorded events, the oldest first, from above the key `after`.

    Every 500 are a transaction of their own. What no rule fires for stays as it is. Raises
    InvalidRequest, StorageUnavailable; BacklogFull and QuotaExceeded when nothing could be fired.
    """
    if wish.before <= wish.after:
        fault = Fault("/before", "is not later than after, so there is nothing between")
        raise InvalidRequest("the time range is empty", faults=(fault,))
    matching = type_regex(wish.match, "/match")
    # Nothing is at the very first key of a millisecond: the rest of a UUIDv7 is never all zero.
    low = after or EventKey(first_id_at(wish.after))
    walk = partial(inbox.walk, until=EventKey(first_id_at(wish.before)), matching=matching)
    judge = partial(_decide, table=table, catalog=catalog, now=now)
    report = EventReplayReport()
    while report.events < wish.limit and not report.stopped:
        some = min(_ROWS_AT_ONCE, wish.limit - report.events)
        if not wish.dry_run:
            # Room is taken over another connection, so nothing may be locked meanwhile.
            async with borrowed(pool) as connection:
                coming = await walk(connection, after=low, limit=some)
            groups = [demands(judge(each)) for each in coming.rows]
            admission = await room_for(entry, pool, groups, begun=report.fired > 0)
            some, report.stopped = admission.granted, admission.refusal
        async with borrowed(pool) as connection, connection.transaction():
            found = await walk(connection, after=low, limit=some, keep=not wish.dry_run)
            decided = [(each, judge(each)) for each in found.rows]
            if not wish.dry_run:
                await _fire(connection, decided)
                await _record(connection, wish, found.rows)
        _count(report, decided)
        if not found.rows or not found.more:
            return report
        low = report.last = found.rows[-1].key
    return report


async def _record(
    connection: AsyncConnection, wish: ReplayEventsRequest, found: Sequence[StoredEvent]
) -> None:
    if found:
        detail = {"match": wish.match, "count": len(found), "first": str(found[0].key)}
        await audit.record(connection, Action.EVENTS_REPLAYED, "events", detail)


def _decide(stored: StoredEvent, table: RoutingTable, catalog: Catalog, now: datetime) -> Decision:
    event = to_event(stored.document)
    generation = _next_generation(stored)
    return decide(
        event, tenant=stored.tenant, table=table, catalog=catalog, now=now, generation=generation
    )


def _next_generation(stored: StoredEvent) -> int:
    """An event that never made a task has not had its first generation yet."""
    return stored.generation + 1 if stored.tasks else stored.generation


async def _fire(
    connection: AsyncConnection, decided: Sequence[tuple[StoredEvent, Decision]]
) -> None:
    fired = [(e, d) for e, d in decided if d.state is EventState.FIRED]
    if not fired:
        return
    stored = await store_fired(connection, [f for _, decision in fired for f in decision.fired])
    verdicts = []
    for event, decision in fired:
        generation = _next_generation(event)
        made = event_tasks(decision, stored, generation=generation)
        verdicts.append(
            Verdict(
                key=event.key,
                state=EventState.FIRED,
                reason=None,
                generation=generation,
                tasks=(*inbox.event_tasks(event.tasks), *made),
            )
        )
    await inbox.set_verdicts(connection, verdicts)
    await parked.unpark(connection, [event.key for event, _ in fired])


def _count(report: EventReplayReport, decided: Sequence[tuple[StoredEvent, Decision]]) -> None:
    report.events += len(decided)
    for _, decision in decided:
        report.fired += decision.state is EventState.FIRED
        report.unmatched += decision.state is EventState.UNMATCHED
        report.refused += decision.state is EventState.PARKED
        report.tasks.update(fired.task.type for fired in decision.fired)
