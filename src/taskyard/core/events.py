"""Events from outside: what is read of one, and what may become of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType
from uuid import UUID

EventKey = NewType("EventKey", UUID)

LARGEST_EVENT = 1024 * 1024  # bytes, as it arrived
KEPT_OF_TOO_LARGE = 64 * 1024  # bytes


class EventState(StrEnum):
    """What became of an event: it made tasks, no rule wanted it, or it waits for a person."""

    FIRED = "fired"
    UNMATCHED = "unmatched"
    PARKED = "parked"


class ParkReason(StrEnum):
    """Why something that arrived waits for a person."""

    NOT_JSON = "not-json"
    CONTENT_TYPE = "wrong-content-type"
    ENCODING = "unknown-encoding"
    TOO_LARGE = "too-large"
    INVALID = "invalid-event"
    USER_ID = "wrong-user-id"
    ROUTING_KEY = "wrong-routing-key"
    UNMATCHED = "unmatched"  # no rule's pattern matches its type
    EXPRESSION = "expression-failed"
    UNFIT = "unfit-task"  # a rule made a task that would be refused
    UNSTORABLE = "unstorable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One CloudEvent: the attributes that are searched, and the whole in its JSON form."""

    source: str
    id: str
    type: str
    subject: str | None
    time: datetime | None
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publisher:
    """Who may publish events over AMQP: a user of the broker, and the types of its events.

    No type pattern means all types.
    """

    name: str
    types: tuple[str, ...] = ()


class NotAnEvent(Exception):
    """What arrived is no event that can be taken in."""

    def __init__(self, reason: ParkReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
