"""POST /v1/events: CloudEvents over HTTP, one or many."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from quart import Blueprint, Response, request
from uuid_utils.compat import uuid7

from taskyard.api.body import raw_body
from taskyard.api.caller import own
from taskyard.api.event_views import (
    EventReceiptList,
    receipt_view,
)
from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.core.errors import (
    Fault,
    InvalidRequest,
    MalformedBody,
    PayloadTooLarge,
    TaskyardError,
    UnsupportedMediaType,
)
from taskyard.core.events import LARGEST_EVENT, Event, EventKey, NotAnEvent, ParkReason
from taskyard.services.cloudevents import BATCH, Delivery, decode, read
from taskyard.services.event_document import to_event
from taskyard.services.event_entry import require_room
from taskyard.services.fresh import HOLD
from taskyard.services.ingest import Ingest

MOST_EVENTS = 1_000
_HEADER = "ce-"

_ERRORS: dict[ParkReason, type[TaskyardError]] = {
    ParkReason.NOT_JSON: MalformedBody,
    ParkReason.CONTENT_TYPE: UnsupportedMediaType,
    ParkReason.ENCODING: UnsupportedMediaType,
    ParkReason.TOO_LARGE: PayloadTooLarge,
}


def events_blueprint(parts: Parts) -> Blueprint:
    """Serve events."""
    blueprint = Blueprint("events", __name__)

    @blueprint.post("/v1/events")
    async def send_events() -> Response:
        events = await _events()
        ingest = Ingest(own(parts), table=parts.table, catalog=parts.catalog)
        hold = HOLD if parts.fresh.takes_more else 0.0
        now = datetime.now(UTC)
        given = [
            ingest.consider(event, key=EventKey(uuid7()), now=now, hold=hold) for event in events
        ]
        await require_room(own(parts), parts.entry, given)
        came = await ingest.take_in(given)
        parts.fresh.forward(came.stored)
        return respond(EventReceiptList(items=[receipt_view(each, came) for each in given]), 202)

    return blueprint


async def _events() -> list[Event]:
    """Return the events of a request, all of them sound. Raises what a client did wrong."""
    body = await raw_body()
    try:
        if request.mimetype == BATCH:
            return _batch(decode(body))
        attributes = {
            name[len(_HEADER) :]: unquote(value)  # HTTP binding, section 3.1.3.2
            for name, value in ((name.lower(), value) for name, value in request.headers.items())
            if name.startswith(_HEADER)
        }
        delivery = Delivery(
            body=body,
            content_type=request.content_type,
            content_encoding=request.headers.get("Content-Encoding"),
            attributes=attributes,
        )
        return [read(delivery)]
    except NotAnEvent as error:
        raise _refusal(error) from None


def _batch(items: Any) -> list[Event]:
    if not isinstance(items, list):
        raise NotAnEvent(ParkReason.INVALID, "a batch is an array of CloudEvents")
    if len(items) > MOST_EVENTS:
        raise PayloadTooLarge(f"the batch has {len(items)} events; at most {MOST_EVENTS}")
    events = []
    for index, item in enumerate(items):
        try:
            if len(msgspec.json.encode(item)) > LARGEST_EVENT:
                raise NotAnEvent(ParkReason.TOO_LARGE, f"event {index} is larger than 1 MiB")
            events.append(to_event(item))
        except NotAnEvent as error:
            raise _refusal(error, pointer=f"/{index}") from None
    return events


def _refusal(error: NotAnEvent, *, pointer: str = "") -> TaskyardError:
    if kind := _ERRORS.get(error.reason):
        return kind(error.detail)
    fault = Fault(pointer, error.detail)
    return InvalidRequest("the request is no CloudEvent that can be taken", faults=(fault,))
