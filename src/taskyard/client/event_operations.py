"""The operations on events as calls."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace as replace_request
from datetime import datetime
from typing import Any, TypedDict
from uuid import uuid4

from taskyard.client.event_documents import (
    EventReceiptList,
    EventReplayReport,
    LoggedEvent,
    LoggedEventPage,
    ParkedPage,
    ParkedReplayReport,
)
from taskyard.client.exchange import Call, Request
from taskyard.client.operations import body_of, given
from taskyard.client.requests import post, query, segment

MOST_EVENTS = 1_000  # of a batch in one request
MOST_BYTES = 16 * 1024 * 1024  # of a request, unless one event alone is larger


class EventFilters(TypedDict, total=False):
    """Which events are meant; `match` is a topic pattern on the type, such as "upload.#"."""

    source: str | None
    match: str | None
    subject: str | None
    state: str | None
    received_after: datetime | str | None
    received_before: datetime | str | None


class ParkedFilters(TypedDict, total=False):
    """Which parked events are meant."""

    reason: str | None
    source: str | None
    match: str | None
    received_after: datetime | str | None
    received_before: datetime | str | None


def complete(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return an event with what need not be said: a version, and a random id.

    The id is chosen before the event is sent: however often that is, it is taken in once.
    """
    return {"specversion": "1.0", "id": str(uuid4()), **event}


def publish(event: Mapping[str, Any]) -> Call[EventReceiptList]:
    """Send one event."""
    return _publish(body_of(complete(event)), "application/cloudevents+json")


def publish_many(events: Iterable[Mapping[str, Any]]) -> Iterator[Call[EventReceiptList]]:
    """Yield the calls that send these events, in order."""
    gathered: list[bytes] = []
    size = 0
    for event in events:
        encoded = body_of(complete(event))
        if gathered and (len(gathered) == MOST_EVENTS or size + len(encoded) > MOST_BYTES):
            yield _batch(gathered)
            gathered, size = [], 0
        gathered.append(encoded)
        size += len(encoded)
    if gathered:
        yield _batch(gathered)


def _batch(encoded: Iterable[bytes]) -> Call[EventReceiptList]:
    body = b"[" + b",".join(encoded) + b"]"
    return _publish(body, "application/cloudevents-batch+json")


def _publish(body: bytes, content_type: str) -> Call[EventReceiptList]:
    headers = {"Content-Type": content_type}
    request = replace_request(post("/v1/events", body), headers=headers, safe=True)
    return Call(request, EventReceiptList)


def joined(receipts: Iterable[EventReceiptList]) -> EventReceiptList:
    """Return several lists of receipts as one."""
    return EventReceiptList(items=tuple(item for part in receipts for item in part.items))


def page(filters: EventFilters, *, limit: int | None, cursor: str | None) -> Call[LoggedEventPage]:
    """Return one page of the event log."""
    params = query({**filters, "limit": limit, "cursor": cursor})
    return Call(Request(method="GET", path="/v1/events", params=params), LoggedEventPage)


def get(key: str) -> Call[LoggedEvent]:
    """Return one event of the log."""
    return Call(Request(method="GET", path=f"/v1/events/{segment(key)}"), LoggedEvent)


def parked(filters: ParkedFilters, *, limit: int | None, cursor: str | None) -> Call[ParkedPage]:
    """Return one page of what is parked."""
    params = query({**filters, "limit": limit, "cursor": cursor})
    return Call(Request(method="GET", path="/v1/events/parked", params=params), ParkedPage)


def replay(
    after: datetime | str,
    before: datetime | str,
    *,
    match: str,
    dry_run: bool,
    limit: int | None,
    cursor: str | None,
) -> Call[EventReplayReport]:
    """Fire the rules of today again. Sent twice it makes two generations."""
    wish = {"after": after, "before": before, "match": match, "dry_run": dry_run}
    body = body_of(given({**wish, "limit": limit, "cursor": cursor}))
    request = replace_request(post("/v1/events/replay", body), safe=dry_run)
    return Call(request, EventReplayReport)


def replay_parked(
    which: Mapping[str, Any], *, everything: bool, dry_run: bool, limit: int | None
) -> Call[ParkedReplayReport]:
    """Look again at what is parked. Sent twice it looks again at what stayed."""
    wish = {"filter": given(which), "all": everything, "dry_run": dry_run}
    request = post("/v1/events/parked/replay", body_of(given({**wish, "limit": limit})))
    return Call(replace_request(request, safe=dry_run), ParkedReplayReport)


def replay_one_parked(key: str) -> Call[ParkedReplayReport]:
    """Look again at one parked event. A second time it may be there no more."""
    return Call(post(f"/v1/events/parked/{segment(key)}/replay"), ParkedReplayReport)
