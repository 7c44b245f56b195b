"""Where a task stands, as clients see it."""

from datetime import datetime, timedelta

from taskyard.api.place_views import PlaceView
from taskyard.services.place import Place


def place_view(place: Place, *, now: datetime) -> PlaceView:
    """Return a place with dates instead of seconds from now."""
    start = place.start
    return PlaceView(
        ahead=place.ahead,
        starts_p50=_date(now, start.p50) if start else None,
        starts_p90=_date(now, start.p90) if start else None,
    )


def _date(now: datetime, seconds: float) -> datetime:
    # A pool that does nothing for a century is as good as one that never will.
    return now + timedelta(seconds=min(seconds, 3e9))
