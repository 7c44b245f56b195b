"""What clients see of events."""

import base64
from datetime import datetime
from typing import Any

import msgspec

from taskyard.api.errors import describe
from taskyard.api.views import Problem
from taskyard.core.events import EventState, ParkReason
from taskyard.services.event_replay import EventReplayReport, ReplayEventsRequest
from taskyard.services.inbox import Incoming, Intaken
from taskyard.services.parked_events import ParkedReplayReport, ReplayParkedRequest
from taskyard.storage import inbox
from taskyard.storage.inbox import EventTask, StoredEvent
from taskyard.storage.parked import Parked


class EventReceipt(msgspec.Struct, kw_only=True):
    """What became of an event that was sent; of a `duplicate`, what became of the first."""

    key: str
    source: str
    id: str
    type: str
    state: EventState
    reason: str | None
    duplicate: bool
    tasks: list[EventTask]


class EventReceiptList(msgspec.Struct, kw_only=True):
    """What became of each event that was sent, in order."""

    items: list[EventReceipt]


class LoggedEvent(msgspec.Struct, kw_only=True):
    """An event of the log: `event` is the CloudEvent itself, `tasks` what rules made of it."""

    key: str
    source: str
    id: str
    type: str
    subject: str | None
    time: datetime | None
    received_at: datetime
    state: EventState
    reason: str | None
    generation: int
    tasks: list[EventTask]
    event: dict[str, Any]


class LoggedEventPage(msgspec.Struct, kw_only=True):
    """Some events, newest first."""

    items: list[LoggedEvent]
    next_cursor: str | None


class ParkedView(msgspec.Struct, kw_only=True):
    """What is parked. What could be read is in `event`, else `body` begins as it arrived (base64).

    `size` is that of the body in bytes, `replays` how often it was replayed in vain.
    """

    key: str
    parked_at: datetime
    reason: ParkReason
    detail: str
    source: str | None
    id: str | None
    type: str | None
    event: dict[str, Any] | None
    content_type: str | None
    content_encoding: str | None
    user_id: str | None
    attributes: dict[str, Any] | None
    body: str | None
    size: int
    replays: int


class ParkedPage(msgspec.Struct, kw_only=True):
    """Some parked events, newest first."""

    items: list[ParkedView]
    next_cursor: str | None


class ParkedProblem(msgspec.Struct, kw_only=True):
    """Why an event stays parked."""

    key: str
    reason: ParkReason
    detail: str


class ParkedReplayView(msgspec.Struct, kw_only=True):
    """What a replay of parked events did or would do; at most 20 `problems` are shown.

    It was `stopped` where the backlog or a quota had no room for more.
    """

    dry_run: bool
    count: int
    released: int
    still_parked: int
    tasks: int
    more: bool
    problems: list[ParkedProblem]
    stopped: Problem | None


class EventReplayView(msgspec.Struct, kw_only=True):
    """What a replay of events did or would do: `tasks` counts those of each type.

    For `unmatched` events no rule fires today, for `refused` ones a rule fails; both stay as they
    were. With `next_cursor` the same request goes on. It was `stopped` where the backlog or a quota
    had no room for more.
    """

    dry_run: bool
    events: int
    fired: int
    unmatched: int
    refused: int
    tasks: dict[str, int]
    next_cursor: str | None
    stopped: Problem | None


def receipt_view(given: Incoming, came: Intaken) -> EventReceipt:
    """Return what the sender of an event sees."""
    event, decision = given.event, given.decision
    before = None if given.key in came.tasks else came.before.get((event.source, event.id))
    return EventReceipt(
        key=str(before.key if before else given.key),
        source=event.source,
        id=event.id,
        type=event.type,
        state=EventState(before.state) if before else decision.state,
        reason=before.reason if before else decision.reason,
        duplicate=before is not None,
        tasks=list(inbox.event_tasks(before.tasks) if before else came.tasks.get(given.key, ())),
    )


def event_view(stored: StoredEvent) -> LoggedEvent:
    """Return what the caller sees of an event."""
    return LoggedEvent(
        key=str(stored.key),
        source=stored.source,
        id=stored.id,
        type=stored.type,
        subject=stored.subject,
        time=stored.time,
        received_at=stored.received_at,
        state=EventState(stored.state),
        reason=stored.reason,
        generation=stored.generation,
        tasks=list(inbox.event_tasks(stored.tasks)),
        event=stored.document,
    )


def parked_view(found: Parked) -> ParkedView:
    """Return what the caller sees of something that is parked."""
    return ParkedView(
        key=str(found.key),
        parked_at=found.parked_at,
        reason=ParkReason(found.reason),
        detail=found.detail,
        source=found.source,
        id=found.id,
        type=found.type,
        event=found.document,
        content_type=found.content_type,
        content_encoding=found.content_encoding,
        user_id=found.user_id,
        attributes=found.attributes,
        body=None if found.body is None else base64.b64encode(found.body).decode(),
        size=found.size,
        replays=found.replays,
    )


def parked_replay_view(report: ParkedReplayReport, *, dry_run: bool) -> ParkedReplayView:
    """Return what the caller sees of a replay of parked events."""
    return ParkedReplayView(
        dry_run=dry_run,
        count=report.count,
        released=report.released,
        still_parked=report.count - report.released,
        tasks=report.tasks,
        more=report.more,
        problems=[
            ParkedProblem(key=str(key), reason=reason, detail=detail)
            for key, reason, detail in report.problems
        ],
        stopped=describe(report.stopped) if report.stopped else None,
    )


def event_replay_view(
    report: EventReplayReport, *, dry_run: bool, next_cursor: str | None
) -> EventReplayView:
    """Return what the caller sees of a replay of events."""
    return EventReplayView(
        dry_run=dry_run,
        events=report.events,
        fired=report.fired,
        unmatched=report.unmatched,
        refused=report.refused,
        tasks=dict(sorted(report.tasks.items())),
        next_cursor=next_cursor,
        stopped=describe(report.stopped) if report.stopped else None,
    )


SCHEMAS = (
    ReplayEventsRequest,
    ReplayParkedRequest,
    EventReceiptList,
    LoggedEvent,
    LoggedEventPage,
    ParkedPage,
    ParkedReplayView,
    EventReplayView,
)
