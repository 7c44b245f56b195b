"""CloudEvents 1.0 as AMQP messages, in binary mode.

Specification: CloudEvents, AMQP Protocol Binding 1.0.2, section 3.1. Attributes are headers with
the prefix `cloudEvents_`, which AMQP 1.0 clients of the broker see as application properties; the
content type is that of the data, which is the body.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

import aiormq

from taskyard.broker.publisher import PERSISTENT, Message
from taskyard.core.trace import TraceContext

ATTRIBUTE = "cloudEvents_"
JSON = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """An event, with its data as JSON text; `trace` goes by the extension Distributed Tracing."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: bytes
    trace: TraceContext | None = None


def lifecycle_exchange(prefix: str) -> str:
    """Return the name of the exchange that changes of tasks are published to."""
    return f"{prefix}.lifecycle"


def message_of(event: CloudEvent) -> Message:
    """Return an event as a message; its routing key is its type."""
    attributes = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        **(event.trace.headers if event.trace else {}),
    }
    properties = aiormq.spec.Basic.Properties(
        headers={ATTRIBUTE + name: value for name, value in attributes.items()},
        content_type=JSON,
        message_id=event.id,
        delivery_mode=PERSISTENT,
    )
    return Message(body=event.data, routing_key=event.type, properties=properties)
