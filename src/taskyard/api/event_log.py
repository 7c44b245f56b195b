"""The log of all events: searched, read, replayed."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.api.caller import own
from taskyard.api.errors import come_again
from taskyard.api.event_views import LoggedEventPage, event_replay_view, event_view
from taskyard.api.parts import Parts
from taskyard.api.query import PAGE, Readers, as_cursor, as_instant, as_limit, as_text, read_query
from taskyard.api.render import respond
from taskyard.api.request import convert, from_cursor, json_body, to_cursor
from taskyard.core.errors import EventNotFound, Fault, InvalidRequest
from taskyard.core.events import EventKey, EventState
from taskyard.services.event_filter import first_key, type_regex
from taskyard.services.event_replay import ReplayEventsRequest, replay_events
from taskyard.storage import inbox
from taskyard.storage.inbox import Wanted
from taskyard.storage.pool import borrowed


def as_state(text: str) -> EventState:
    """Read the state of an event."""
    if text not in list(EventState):
        raise ValueError(f"is {text[:40]!r}; a state is one of {', '.join(EventState)}")
    return EventState(text)


_FILTERS: Readers = {
    "source": as_text,
    "match": as_text,
    "subject": as_text,
    "state": as_state,
    "received_after": as_instant,
    "received_before": as_instant,
    "limit": as_limit,
    "cursor": as_cursor,
}


def event_log_blueprint(parts: Parts) -> Blueprint:
    """Serve the event log."""
    blueprint = Blueprint("event_log", __name__)

    @blueprint.get("/v1/events")
    async def list_events() -> Response:
        given = read_query(request.args.items(multi=True), _FILTERS)
        limit, below = given.pop("limit", PAGE), given.pop("before", None)
        async with borrowed(own(parts)) as connection:
            found = await inbox.page(connection, _wanted(given), below=below, limit=limit)
        cursor = to_cursor(found.rows[-1].key) if found.more else None
        return respond(
            LoggedEventPage(items=[event_view(each) for each in found.rows], next_cursor=cursor)
        )

    @blueprint.get("/v1/events/<key>")
    async def get_event(key: str) -> Response:
        wanted = event_key(key)
        async with borrowed(own(parts)) as connection:
            found = await inbox.get(connection, wanted)
        if found is None:
            raise EventNotFound(f"there is no event {key[:64]!r}")
        return respond(event_view(found))

    @blueprint.post("/v1/events/replay")
    async def replay() -> Response:
        wish = convert(await json_body(), ReplayEventsRequest)
        report = await replay_events(
            own(parts),
            wish,
            table=parts.table,
            catalog=parts.catalog,
            entry=parts.entry,
            now=datetime.now(UTC),
            after=_after(wish),
        )
        cursor = to_cursor(report.last) if report.last else None
        view = event_replay_view(report, dry_run=wish.dry_run, next_cursor=cursor)
        return respond(view, 200 if wish.dry_run else 202, come_again(report.stopped))

    return blueprint


def _wanted(given: dict[str, Any]) -> Wanted:
    return Wanted(
        since=first_key(given.get("received_after")),
        until=first_key(given.get("received_before")),
        source=given.get("source"),
        subject=given.get("subject"),
        state=given.get("state"),
        matching=type_regex(given.get("match"), "?match"),
    )


def event_key(text: str) -> EventKey:
    """Return the key of an event. What is no UUID cannot be one: raises EventNotFound."""
    try:
        return EventKey(UUID(text))
    except ValueError:
        raise EventNotFound(f"there is no event {text[:64]!r}; keys are UUIDs") from None


def _after(wish: ReplayEventsRequest) -> EventKey | None:
    try:
        return EventKey(from_cursor(wish.cursor)) if wish.cursor else None
    except ValueError as error:
        fault = Fault("/cursor", str(error))
        raise InvalidRequest("the cursor is not valid", faults=(fault,)) from None
