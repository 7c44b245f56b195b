"""/v1/events/parked: what arrived and could not be used, and what is done about it."""

from datetime import UTC, datetime

from quart import Blueprint, Response, request

from taskyard.api.caller import own
from taskyard.api.errors import come_again
from taskyard.api.event_log import event_key
from taskyard.api.event_views import ParkedPage, parked_replay_view, parked_view
from taskyard.api.parts import Parts
from taskyard.api.query import PAGE, Readers, as_cursor, as_instant, as_limit, as_text, read_query
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body, to_cursor
from taskyard.core.events import ParkReason
from taskyard.services.event_filter import ParkedFilter
from taskyard.services.ingest import Ingest
from taskyard.services.parked_events import ReplayParkedRequest, replay_one, replay_parked
from taskyard.storage import parked
from taskyard.storage.pool import borrowed


def as_reason(text: str) -> ParkReason:
    """Read why something was parked."""
    if text not in list(ParkReason):
        raise ValueError(f"is {text[:40]!r}; a reason is one of {', '.join(ParkReason)}")
    return ParkReason(text)


_FILTERS: Readers = {
    "reason": as_reason,
    "source": as_text,
    "match": as_text,
    "received_after": as_instant,
    "received_before": as_instant,
    "limit": as_limit,
    "cursor": as_cursor,
}


def parked_events_blueprint(parts: Parts) -> Blueprint:
    """Serve parked events."""
    blueprint = Blueprint("parked_events", __name__)

    def ingest() -> Ingest:
        return Ingest(own(parts), table=parts.table, catalog=parts.catalog)

    @blueprint.get("/v1/events/parked")
    async def list_parked() -> Response:
        given = read_query(request.args.items(multi=True), _FILTERS)
        limit, below = given.pop("limit", PAGE), given.pop("before", None)
        wanted = ParkedFilter(**given).wanted()
        async with borrowed(own(parts)) as connection:
            found = await parked.page(connection, wanted, below=below, limit=limit)
        cursor = to_cursor(found.rows[-1].key) if found.more else None
        items = [parked_view(each) for each in found.rows]
        return respond(ParkedPage(items=items, next_cursor=cursor))

    @blueprint.post("/v1/events/parked/replay")
    async def replay_many() -> Response:
        wish = convert(await json_body(), ReplayParkedRequest)
        now = datetime.now(UTC)
        report = await replay_parked(own(parts), ingest(), parts.entry, wish, now=now)
        view = parked_replay_view(report, dry_run=wish.dry_run)
        return respond(view, 200 if wish.dry_run else 202, come_again(report.stopped))

    @blueprint.post("/v1/events/parked/<key>/replay")
    async def replay(key: str) -> Response:
        wanted, now = event_key(key), datetime.now(UTC)
        report = await replay_one(own(parts), ingest(), parts.entry, wanted, now=now)
        return respond(parked_replay_view(report, dry_run=False), 202)

    return blueprint
