"""The operations on events."""

from taskyard.api import event_views
from taskyard.api.operation import (
    AWAY,
    CURSOR,
    FULL,
    JSON,
    LIMIT,
    PATTERN,
    SOUGHT,
    TEXT,
    TIME,
    TRACE,
    UNREADABLE,
    Json,
    Operation,
)
from taskyard.core.events import EventState, ParkReason
from taskyard.core.principal import Scope
from taskyard.services.cloudevents import BATCH, STRUCTURED
from taskyard.services.event_replay import ReplayEventsRequest
from taskyard.services.parked_events import ReplayParkedRequest

_EVENT: Json = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {**TEXT, "minLength": 1},
        "source": {**TEXT, "minLength": 1},
        "type": {**TEXT, "minLength": 1},
        "subject": {"type": ["string", "null"], "minLength": 1},
        "time": {"type": ["string", "null"], "format": "date-time"},
        "data": {},
    },
}
_RANGE = (
    ("received_after", TIME, "Only what arrived at or after this time."),
    ("received_before", TIME, "Only what arrived before this time."),
    LIMIT,
    CURSOR,
)
_SOURCE = ("source", SOUGHT, "Only from this source.")
_MATCH = ("match", PATTERN, "Only types that this topic pattern matches, such as upload.#.")

EVENT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/events",
        scope=Scope.SUBMIT,
        whole_tenant=True,
        tag="Events",
        summary="Send CloudEvents",
        headers=TRACE,
        description="HTTP binding of CloudEvents 1.0: binary mode (attributes in `ce-` headers, "
        "the data as JSON body), structured mode, or a batch of up to 1,000. Events and their "
        "tasks are committed together, before the reply. An event that was sent before, by source "
        "and id, makes nothing new. What no rule can use is accepted and parked. If there is no "
        "room for all tasks that they make, nothing is stored.",
        body={JSON: {}, STRUCTURED: _EVENT, BATCH: {"type": "array", "items": _EVENT}},
        example={"key": "inputs/coffee.png", "size": 466706, "content_type": "image/png"},
        body_required=False,
        status=202,
        answer=event_views.EventReceiptList,
        refusals={
            **UNREADABLE,
            422: ("invalid-request",),
            **FULL,
        },
    ),
    Operation(
        method="get",
        path="/v1/events",
        scope=Scope.READ,
        whole_tenant=True,
        tag="Events",
        summary="List events, newest first",
        description="The log of all events that could be read, kept for their retention.",
        query=(
            _SOURCE,
            _MATCH,
            ("subject", SOUGHT, "Only with this subject."),
            ("state", {"enum": list(EventState)}, "Only in this state."),
            *_RANGE,
        ),
        answer=event_views.LoggedEventPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/events/{key}",
        scope=Scope.READ,
        whole_tenant=True,
        tag="Events",
        summary="Read an event",
        answer=event_views.LoggedEvent,
        refusals={404: ("event-not-found",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/events/replay",
        scope=Scope.REPLAY,
        whole_tenant=True,
        tag="Events",
        summary="Replay events",
        description="The rules of today fire again for the events that arrived in a time range, "
        "the oldest first, at most `limit`. Each replayed event has another generation: new tasks, "
        "and dedupe keys of their own. A dry run (200) only tells what would be made. Without "
        "room for more in the backlog or a quota it stops; go on with `next_cursor`.",
        body={JSON: ReplayEventsRequest},
        example={
            "after": "2026-01-31T00:00:00Z",
            "before": "2026-02-01T00:00:00Z",
            "match": "upload.#",
            "dry_run": True,
        },
        status=202,
        also=(200,),
        answer=event_views.EventReplayView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **FULL},
    ),
    Operation(
        method="get",
        path="/v1/events/parked",
        scope=Scope.READ,
        whole_tenant=True,
        tag="Events",
        summary="List parked events, newest first",
        description="What arrived and is no event, or what no rule could use, with the reason.",
        query=(
            ("reason", {"enum": list(ParkReason)}, "Only parked for this reason."),
            _SOURCE,
            _MATCH,
            *_RANGE,
        ),
        answer=event_views.ParkedPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/events/parked/replay",
        scope=Scope.REPLAY,
        whole_tenant=True,
        tag="Events",
        summary="Replay many parked events",
        description="They are looked at again with the rules of today, the oldest first. What "
        "still cannot be used stays parked. An empty filter needs `all`.",
        body={JSON: ReplayParkedRequest},
        example={"filter": {"reason": "unmatched", "match": "upload.#"}},
        status=202,
        also=(200,),
        answer=event_views.ParkedReplayView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/events/parked/{key}/replay",
        scope=Scope.REPLAY,
        whole_tenant=True,
        tag="Events",
        summary="Replay a parked event",
        status=202,
        answer=event_views.ParkedReplayView,
        refusals={404: ("event-not-found",), **AWAY},
    ),
)
