"""CloudEvents 1.0 in their JSON form: from a JSON value to an event, or why it is none.

Specification: CloudEvents 1.0.2, and its JSON event format.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from taskyard.core.events import Event, NotAnEvent, ParkReason

_NAME = re.compile(r"[a-z0-9]{1,64}")
_LONGEST = {"source": 1024, "id": 512, "type": 255, "subject": 1024}  # bytes; they are indexed
_REQUIRED = ("id", "source", "type")


def to_event(document: Any) -> Event:
    """Return the event that a JSON value is. Raises NotAnEvent, naming the attribute."""
    if not isinstance(document, dict):
        raise NotAnEvent(ParkReason.INVALID, "a CloudEvent is a JSON object")
    if (version := document.get("specversion")) != "1.0":
        sent = "is missing" if version is None else f"is {str(version)[:40]!r}"
        raise NotAnEvent(ParkReason.INVALID, f"the attribute specversion {sent}; it must be '1.0'")
    for name in document:
        if name != "data_base64" and not _NAME.fullmatch(name):
            raise NotAnEvent(
                ParkReason.INVALID, f"{name[:80]!r} is no name of an attribute: a-z and 0-9"
            )
    if "data" in document and "data_base64" in document:
        raise NotAnEvent(
            ParkReason.INVALID, "data and data_base64 are both there; send one of them"
        )
    texts = {name: _text(document, name) for name in (*_REQUIRED, "subject", "time")}
    for name in _REQUIRED:
        if texts[name] is None:
            raise NotAnEvent(ParkReason.INVALID, f"the attribute {name} is missing")
    return Event(
        source=texts["source"] or "",
        id=texts["id"] or "",
        type=texts["type"] or "",
        subject=texts["subject"],
        time=_time(texts["time"]),
        document=document,
    )


def _text(document: Mapping[str, Any], name: str) -> str | None:
    if (value := document.get(name)) is None:
        return None
    if not isinstance(value, str) or not value:
        raise NotAnEvent(
            ParkReason.INVALID, f"the attribute {name} is not a string with something in it"
        )
    if len(value.encode()) > _LONGEST.get(name, 64):
        raise NotAnEvent(
            ParkReason.INVALID, f"{name} is longer than {_LONGEST.get(name, 64)} bytes"
        )
    return value


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    # Postgres and Python do not agree on the years before 1 and after 9999.
    if instant is None or instant.tzinfo is None or not 1000 <= instant.year <= 9998:
        raise NotAnEvent(
            ParkReason.INVALID, f"time is {text!r}, not a time in RFC 3339 with an offset"
        )
    return instant
