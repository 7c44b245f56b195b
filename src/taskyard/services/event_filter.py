"""Which events are meant, as callers say it and as the database reads it."""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from taskyard.core import topics
from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.events import EventKey, ParkReason
from taskyard.core.retention import first_id_at
from taskyard.services.field_types import TopicPattern
from taskyard.storage.parked import ParkedWanted

MOST_REPLAYED = 100_000

Instant = Annotated[datetime, Meta(tz=True)]


class ParkedFilter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which parked events are meant; what is not given does not matter."""

    reason: ParkReason | None = None
    source: str | None = None
    match: TopicPattern | None = None
    received_after: Instant | None = None
    received_before: Instant | None = None

    def wanted(self) -> ParkedWanted:
        """Return the same for the database. Raises InvalidRequest."""
        return ParkedWanted(
            since=first_key(self.received_after),
            until=first_key(self.received_before),
            reason=self.reason,
            source=self.source,
            matching=type_regex(self.match, "/filter/match"),
        )


def first_key(instant: datetime | None) -> EventKey | None:
    """Return what no event that arrived at this instant or later is below."""
    return EventKey(first_id_at(instant)) if instant else None


def type_regex(match: str | None, pointer: str) -> str | None:
    """Return how the database matches a type pattern. Raises InvalidRequest for none."""
    if match is None or match == "#":
        return None
    if problem := topics.problem(match):
        raise InvalidRequest(
            "the pattern is not valid", faults=(Fault(pointer, f"{match!r} {problem}"),)
        )
    return topics.as_regex(match)
