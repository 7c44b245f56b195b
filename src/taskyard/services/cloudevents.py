"""CloudEvents 1.0: from what arrived over a wire to an event, or why it is none.

Bindings: JSON event format 1.0.2, HTTP 1.0.2, and AMQP 1.0.2 as far as AMQP 0-9-1 has a place for
it: attributes are headers that begin with `cloudEvents:` or `cloudEvents_`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from taskyard import strict_json
from taskyard.core.errors import InvalidRequest, MalformedBody
from taskyard.core.events import LARGEST_EVENT, Event, NotAnEvent, ParkReason
from taskyard.services.event_document import to_event

JSON = "application/json"
STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
AMQP_PREFIXES = ("cloudEvents:", "cloudEvents_")

_ENCODINGS = ("", "utf-8", "identity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What arrived: `attributes` are those of binary mode by their bare names.

    `size` is that of the whole body in bytes, where `body` is only its beginning.
    """

    body: bytes
    size: int = 0
    content_type: str | None = None
    content_encoding: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    user_id: str | None = None
    routing_key: str | None = None  # of a message over AMQP


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
    if (size := max(delivery.size, len(delivery.body))) > LARGEST_EVENT:
        raise NotAnEvent(ParkReason.TOO_LARGE, f"{size} bytes, of at most {LARGEST_EVENT}")
    if (encoding := (delivery.content_encoding or "").lower()) not in _ENCODINGS:
        raise NotAnEvent(
            ParkReason.ENCODING, f"the content encoding is {encoding[:80]!r}, not utf-8"
        )
    media, charset = _media_type(delivery.content_type or "")
    if charset not in ("", "utf-8", "us-ascii"):
        raise NotAnEvent(ParkReason.ENCODING, f"the charset is {charset[:80]!r}, not UTF-8")
    if media == STRUCTURED:
        return to_event(decode(delivery.body))
    if media.startswith("application/cloudevents"):
        raise NotAnEvent(ParkReason.CONTENT_TYPE, f"{media[:80]!r} is not taken; send {STRUCTURED}")
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


def _binary(delivery: Delivery, media: str) -> dict[str, Any]:
    if not delivery.attributes:
        raise NotAnEvent(
            ParkReason.CONTENT_TYPE,
            f"the content type is {media[:80]!r} and there are no CloudEvents headers; send "
            f"{STRUCTURED}, or the attributes as headers",
        )
    document = {name: _plain(value) for name, value in delivery.attributes.items()}
    if delivery.content_type:
        document["datacontenttype"] = delivery.content_type
    if delivery.body:
        if media != JSON and not media.endswith("+json"):
            raise NotAnEvent(
                ParkReason.CONTENT_TYPE, f"the data is {media[:80]!r}; only JSON is taken"
            )
        document["data"] = decode(delivery.body)
    return document


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):  # AMQP has a type of its own for times
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and ("\0" in value or not value.isprintable()):
        raise NotAnEvent(ParkReason.INVALID, "an attribute holds characters that cannot be printed")
    if not isinstance(value, str | int | bool):
        raise NotAnEvent(
            ParkReason.INVALID, f"an attribute is a {type(value).__name__}; send a string"
        )
    return value


def _media_type(content_type: str) -> tuple[str, str]:
    media, _, parameters = content_type.lower().partition(";")
    charset = next((p for p in parameters.split(";") if p.strip().startswith("charset=")), "")
    return media.strip(), charset.partition("=")[2].strip().strip('"')
