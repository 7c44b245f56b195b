"""Where a task stands, as a document."""

from datetime import datetime

import msgspec


class PlaceView(msgspec.Struct, kw_only=True):
    """Where a task stands: how many go before it, and when it may start, if that can be told.

    As likely sooner as later than `starts_p50`; by `starts_p90` in nine of ten cases.
    """

    ahead: int
    starts_p50: datetime | None
    starts_p90: datetime | None
