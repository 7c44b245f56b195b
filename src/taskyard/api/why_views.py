"""Why a task is not running, as a document."""

from datetime import datetime

import msgspec

from taskyard.core.causes import Cause


class WhyView(msgspec.Struct, kw_only=True):
    """Why a task is not running, or what it does, or how it ended; docs/why.md explains each code.

    `until` is when that changes by itself at the earliest, `ahead` counts who goes before it; each
    is null where there is no such thing. `advice` is null when nothing is to be done.
    """

    id: str
    code: Cause
    sentence: str
    advice: str | None
    since: datetime | None
    until: datetime | None
    ahead: int | None


SCHEMAS = (WhyView,)
