"""CloudEvents 1.0: from what arrived to an event, or why it is none.

Bindings: JSON event format 1.0.2, HTTP 1.0.2, and AMQP 1.0.2 as far as AMQP 0-9-1 has a place for
it: attributes are headers that begin with `cloudEvents:` or `cloudEvents_`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from taskyard import strict_json
from taskyard.core.errors import InvalidRequest, MalformedBody
from taskyard.core.events import LARGEST_EVENT, Event, NotAnEvent, ParkReason

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
AMQP_PREFIXES = ("cloudEvents:", "cloudEvents_")

_ENCODINGS = ("", "utf-8", "identity")
_NAME = re.compile(r"[a-z0-9]{1,64}")
_LONGEST = {"source": 1024, "id": 512, "type": 255, "subject": 1024}  # bytes; they are indexed
_REQUIRED = ("id", "source", "type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What arrived: `attributes` are those of binary mode by their bare names."""

    body: bytes
    content_type: str | None = None
    content_encoding: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = None


def amqp_attributes(headers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes among the headers of an AMQP message."""
    return {
        name[len(prefix) :]: value
        for name, value in headers.items()
        for prefix in AMQP_PREFIXES
        if name.startswith(prefix)
    }


def read(delivery: Delivery) -> Event:
    """Return the event that a delivery is, in binary or structured mode. Raises NotAnEvent."""
    if len(delivery.body) > LARGEST_EVENT:
        _refuse(ParkReason.TOO_LARGE, f"{len(delivery.body)} bytes, of at most {LARGEST_EVENT}")
    if (encoding := (delivery.content_encoding or "").lower()) not in _ENCODINGS:
        _refuse(ParkReason.ENCODING, f"the content encoding is {encoding[:80]!r}, not utf-8")
    media, charset = _media_type(delivery.content_type or "")
    if charset not in ("", "utf-8", "us-ascii"):
        _refuse(ParkReason.ENCODING, f"the charset is {charset[:80]!r}, not UTF-8")
    if media == STRUCTURED:
        return to_event(decode(delivery.body))
    if media.startswith("application/cloudevents"):
        _refuse(ParkReason.CONTENT_TYPE, f"{media[:80]!r} is not taken; send {STRUCTURED}")
    return to_event(_binary(delivery, media))


def decode(body: bytes) -> Any:
    """Return the value of a JSON text. Raises NotAnEvent."""
    try:
        return strict_json.decode(body)
    except MalformedBody as error:
        raise NotAnEvent(ParkReason.NOT_JSON, error.detail) from None
    except InvalidRequest as error:
        faults = "; ".join(map(str, error.faults))
        raise NotAnEvent(ParkReason.INVALID, faults) from None


def to_event(document: Any) -> Event:
    """Return the event that a JSON value is. Raises NotAnEvent, naming the attribute."""
    if not isinstance(document, dict):
        _refuse(ParkReason.INVALID, "a CloudEvent is a JSON object")
    if (version := document.get("specversion")) != "1.0":
        sent = "is missing" if version is None else f"is {str(version)[:40]!r}"
        _refuse(ParkReason.INVALID, f"the attribute specversion {sent}; it must be '1.0'")
    for name in document:
        if name != "data_base64" and not _NAME.fullmatch(name):
            _refuse(ParkReason.INVALID, f"{name[:80]!r} is no name of an attribute: a-z and 0-9")
    if "data" in document and "data_base64" in document:
        _refuse(ParkReason.INVALID, "data and data_base64 are both there; send one of them")
    texts = {name: _text(document, name) for name in (*_REQUIRED, "subject", "time")}
    for name in _REQUIRED:
        if texts[name] is None:
            _refuse(ParkReason.INVALID, f"the attribute {name} is missing")
    return Event(
        source=texts["source"] or "",
        id=texts["id"] or "",
        type=texts["type"] or "",
        subject=texts["subject"],
        time=_time(texts["time"]),
        document=document,
    )


def _binary(delivery: Delivery, media: str) -> dict[str, Any]:
    if not delivery.attributes:
        _refuse(
            ParkReason.CONTENT_TYPE,
            f"the content type is {media[:80]!r} and there are no CloudEvents headers; send "
            f"{STRUCTURED}, or the attributes as headers",
        )
    document = {name: _plain(value) for name, value in delivery.attributes.items()}
    if delivery.content_type:
        document["datacontenttype"] = delivery.content_type
    if delivery.body:
        if media != JSON and not media.endswith("+json"):
            _refuse(ParkReason.CONTENT_TYPE, f"the data is {media[:80]!r}; only JSON is taken")
        document["data"] = decode(delivery.body)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):  # AMQP has a type of its own for times
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and ("\0" in value or not value.isprintable()):
        _refuse(ParkReason.INVALID, "an attribute holds characters that cannot be printed")
    if not isinstance(value, str | int | bool):
        _refuse(ParkReason.INVALID, f"an attribute is a {type(value).__name__}; send a string")
    return value


def _text(document: Mapping[str, Any], name: str) -> str | None:
    if (value := document.get(name)) is None:
        return None
    if not isinstance(value, str) or not value:
        _refuse(ParkReason.INVALID, f"the attribute {name} is not a string with something in it")
    if len(value.encode()) > _LONGEST.get(name, 64):
        _refuse(ParkReason.INVALID, f"{name} is longer than {_LONGEST.get(name, 64)} bytes")
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
        _refuse(ParkReason.INVALID, f"time is {text!r}, not a time in RFC 3339 with an offset")
    return instant


def _media_type(content_type: str) -> tuple[str, str]:
    media, _, parameters = content_type.lower().partition(";")
    charset = next((p for p in parameters.split(";") if p.strip().startswith("charset=")), "")
    return media.strip(), charset.partition("=")[2].strip().strip('"')


def _refuse(reason: ParkReason, detail: str) -> NoReturn:
    raise NotAnEvent(reason, detail)
