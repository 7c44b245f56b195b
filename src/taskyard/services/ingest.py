"""Ingest: take events in, each once, with its tasks in the same transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import structlog
from uuid_utils.compat import uuid7

from taskyard.core.events import (
    LARGEST_EVENT,
    Event,
    EventKey,
    EventState,
    NotAnEvent,
    ParkReason,
)
from taskyard.core.routing import RoutingTable
from taskyard.core.task import Accepted, NewTask, Repeated, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import Delivery, read
from taskyard.services.fire import Decision, decide, event_tasks, store_fired
from taskyard.storage import inbox, parked
from taskyard.storage.inbox import EventTask, NewEvent, StoredEvent, Verdict
from taskyard.storage.parked import NewParked
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

log = structlog.get_logger(__name__)

_KEPT_OF_TOO_LARGE = 64 * 1024  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """An event that could be read, and what is to become of it."""

    key: EventKey
    event: Event
    decision: Decision


Taken = Incoming | NewParked


@dataclass(frozen=True, slots=True, kw_only=True)
class Intaken:
    """What came of taking in: events that were there before, tasks that are new, and of which."""

    before: dict[tuple[str, str], StoredEvent] = field(default_factory=dict)
    stored: list[tuple[NewTask, Accepted]] = field(default_factory=list)
    tasks: dict[EventKey, tuple[EventTask, ...]] = field(default_factory=dict)


class Ingest:
    """Takes events in, by the rules of a routing table."""

    def __init__(self, pool: Pool, *, table: RoutingTable, catalog: Catalog) -> None:
        self._pool = pool
        self._table = table
        self._catalog = catalog

    def look(self, delivery: Delivery, *, now: datetime) -> Taken:
        """Return what is to become of a delivery. Never raises."""
        key = EventKey(uuid7())
        try:
            event = read(delivery)
            self._require_user(event, delivery)
        except NotAnEvent as error:
            return _unreadable(key, delivery, error)
        return self.consider(event, key=key, now=now)

    def consider(
        self, event: Event, *, key: EventKey, now: datetime, hold: float = 0.0
    ) -> Incoming:
        """Return what is to become of an event."""
        decision = decide(event, table=self._table, catalog=self._catalog, now=now, hold=hold)
        return Incoming(key=key, event=event, decision=decision)

    def _require_user(self, event: Event, delivery: Delivery) -> None:
        if not self._table.events.user_id_is_source:
            return
        user, source = delivery.user_id, event.source.lstrip("/")
        if not user or (source != user and not source.startswith(f"{user}/")):
            sent = f"the user {user!r}" if user else "a publisher that set no user-id"
            raise NotAnEvent(ParkReason.USER_ID, f"{sent} is not the source {event.source!r}")

    async def take_in(self, given: Sequence[Taken]) -> Intaken:
        """Store all in one transaction. One that the database refuses is parked, not the others.

        Raises StorageUnavailable: then nothing was stored, or all was; saying it again is harmless.
        """
        try:
            async with borrowed(self._pool) as connection, connection.transaction():
                return await _store(connection, given)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return await self._take_in_apart(given, error)

    async def _take_in_apart(self, given: Sequence[Taken], error: psycopg.Error) -> Intaken:
        if len(given) > 1:
            half = len(given) // 2
            one, other = await self.take_in(given[:half]), await self.take_in(given[half:])
            return Intaken(
                before=one.before | other.before,
                stored=one.stored + other.stored,
                tasks=one.tasks | other.tasks,
            )
        log.warning("an event was refused by the database", error=str(error).strip())
        detail = f"the database refused it: {type(error).__name__}"
        note = NewParked(key=given[0].key, reason=ParkReason.UNSTORABLE, detail=detail)
        async with borrowed(self._pool) as connection:
            await parked.park(connection, [note])
        return Intaken()


def _unreadable(key: EventKey, delivery: Delivery, error: NotAnEvent) -> NewParked:
    return NewParked(
        key=key,
        reason=error.reason,
        detail=_storable(error.detail) or "",
        content_type=_storable(delivery.content_type),
        content_encoding=_storable(delivery.content_encoding),
        user_id=_storable(delivery.user_id),
        attributes={
            str(_storable(k)): _plain(v) for k, v in list(delivery.attributes.items())[:64]
        },
        body=delivery.body[: _KEPT_OF_TOO_LARGE if len(delivery.body) > LARGEST_EVENT else None],
        size=len(delivery.body),
    )


def _storable(text: str | None) -> str | None:
    """Text that Postgres can hold, and not too much of it."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd")[:2_000].encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """What attributes are read from again; what is neither is shown as text."""
    return value if isinstance(value, bool | int) else _storable(str(value))


async def _store(connection: AsyncConnection, given: Sequence[Taken]) -> Intaken:
    events = [each for each in given if isinstance(each, Incoming)]
    new = await inbox.insert(connection, [_row(each) for each in events]) if events else set()
    fresh = [each for each in events if each.key in new]
    notes = [each for each in given if isinstance(each, NewParked)]
    notes += [_note(each) for each in fresh if each.decision.state is EventState.PARKED]
    if notes:
        await parked.park(connection, notes)
    stored = await store_fired(connection, [f for each in fresh for f in each.decision.fired])
    if verdicts := [_verdict(each, stored) for each in fresh if _repeats(each, stored)]:
        await inbox.set_verdicts(connection, verdicts)
    again = [(each.event.source, each.event.id) for each in events if each.key not in new]
    return Intaken(
        before=await inbox.find(connection, again) if again else {},
        stored=[
            (fired.task, stored[fired.task.id])
            for each in fresh
            for fired in each.decision.fired
            if type(stored[fired.task.id]) is Accepted
        ],
        tasks={each.key: event_tasks(each.decision, stored) for each in fresh},
    )


def _row(each: Incoming) -> NewEvent:
    decision = each.decision
    return NewEvent(
        key=each.key,
        event=each.event,
        state=decision.state,
        reason=decision.reason,
        tasks=event_tasks(decision),
    )


def _note(each: Incoming) -> NewParked:
    event, decision = each.event, each.decision
    return NewParked(
        key=each.key,
        reason=ParkReason(decision.reason or ParkReason.UNMATCHED),
        detail=decision.detail,
        source=event.source,
        id=event.id,
        type=event.type,
    )


def _repeats(each: Incoming, stored: Mapping[TaskId, Accepted]) -> bool:
    """Whether a dedupe key was taken: then the event's row names a task that never was."""
    return any(isinstance(stored[fired.task.id], Repeated) for fired in each.decision.fired)


def _verdict(each: Incoming, stored: Mapping[TaskId, Accepted]) -> Verdict:
    return Verdict(
        key=each.key,
        state=each.decision.state,
        reason=each.decision.reason,
        generation=1,
        tasks=event_tasks(each.decision, stored),
    )
