"""What the API says of what happened to tasks."""

from datetime import datetime

import msgspec

from taskyard.core.statistics import Change
from taskyard.storage.statistics import Point


class StatisticView(msgspec.Struct, kw_only=True):
    """How often something happened within a step, and the seconds it took, as far as it takes time.

    `dispatched` and `started`: since the task was due. What ends an attempt: that it ran. The
    percentiles are read from a histogram.
    """

    at: datetime
    pool: str
    type: str
    change: Change
    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class StatisticsView(msgspec.Struct, kw_only=True):
    """What happened in a time, step by step; where nothing happened nothing is said."""

    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")
    step: str
    items: list[StatisticView]


def statistic_view(point: Point) -> StatisticView:
    """Return what the caller sees of one step."""
    took = point.durations
    return StatisticView(
        at=point.at,
        pool=point.pool,
        type=point.type,
        change=point.change,
        count=point.count,
        mean=took.mean if took else None,
        p50=took.percentile(0.5) if took else None,
        p95=took.percentile(0.95) if took else None,
        p99=took.percentile(0.99) if took else None,
    )


SCHEMAS = (StatisticView, StatisticsView)
