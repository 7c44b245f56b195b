"""What the API says of resources."""

from datetime import datetime

import msgspec


class BudgetView(msgspec.Struct, kw_only=True):
    """How many attempts may run at once, and start within a time such as `20/s`."""

    concurrency: int | None
    rate: str | None


class ResourceView(msgspec.Struct, kw_only=True):
    """A budget that task types share: the whole, what of it may be used now, what is in use.

    `share` grows back to 1 after tasks reported that they were throttled. `waiting` is counted up
    to 10,000.
    """

    name: str
    budget: BudgetView
    allowed: BudgetView
    share: float
    paused_for: float
    running: int
    started: int
    waiting: int
    reports: int
    reported_at: datetime | None
    types: list[str]


class ResourceList(msgspec.Struct, kw_only=True):
    """All resources."""

    items: list[ResourceView]


SCHEMAS = (BudgetView, ResourceView, ResourceList)
