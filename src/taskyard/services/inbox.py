"""The inbox: events, what becomes of them, and their tasks, stored together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from taskyard.core.events import Event, EventKey, EventState, ParkReason
from taskyard.core.task import Accepted, NewTask, Repeated, TaskId
from taskyard.services.fire import Decision, event_tasks, store_fired
from taskyard.storage import inbox, parked
from taskyard.storage.inbox import EventTask, NewEvent, StoredEvent, Verdict
from taskyard.storage.parked import NewParked
from taskyard.storage.pool import AsyncConnection


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


async def store(connection: AsyncConnection, given: Sequence[Taken]) -> Intaken:
    """Store events that are new, their tasks, and what is to be parked; in a transaction."""
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
