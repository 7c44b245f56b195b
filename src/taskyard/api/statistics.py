"""GET /v1/statistics: what happened to the caller's tasks."""

from datetime import UTC, datetime, timedelta

from quart import Blueprint, Response, request

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.query import Readers, as_instant, as_text, read_query
from taskyard.api.render import respond
from taskyard.api.statistics_views import StatisticsView, statistic_view
from taskyard.core.units import duration, show_duration
from taskyard.services.statistics import series

_AN_HOUR, _A_MINUTE = timedelta(hours=1), timedelta(minutes=1)

_READERS: Readers = {
    "pool": as_text,
    "type": as_text,
    "from": as_instant,
    "to": as_instant,
    "step": duration,
}


def statistics_blueprint(parts: Parts) -> Blueprint:
    """Serve statistics."""
    blueprint = Blueprint("statistics", __name__)

    @blueprint.get("/v1/statistics")
    async def statistics() -> Response:
        given = read_query(request.args.items(multi=True), _READERS)
        until = given.get("to", datetime.now(UTC))
        since = given.get("from") or until - _AN_HOUR
        step = given.get("step", _A_MINUTE)
        points = await series(
            own(parts),
            since=since,
            until=until,
            step=step,
            of_pool=given.get("pool"),
            of_type=given.get("type"),
        )
        view = StatisticsView(
            since=since,
            until=until,
            step=show_duration(step),
            items=[statistic_view(point) for point in points],
        )
        return respond(view)

    return blueprint
