"""A wake-up as a message: Celery's message protocol v2 with nothing in it but id and type.

Protocol: https://docs.celeryq.dev/en/stable/internals/protocol.html#version-2. The payload stays
in Postgres, so no user data ever meets kombu's decoder, and a forged message can at most wake a
task that was due anyway.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from taskyard.core.wakeup import WakeUp

BODY = b"[[], {}, {}]"
CONTENT_TYPE = "application/json"
CONTENT_ENCODING = "utf-8"
_LONGEST_TYPE = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """All that is needed to publish a wake-up."""

    routing_key: str
    headers: dict[str, str]
    correlation_id: str
    priority: int


def exchange_name(prefix: str) -> str:
    """Return the name of the topic exchange for wake-ups."""
    return f"{prefix}.tasks"


def queue_name(prefix: str, pool: str) -> str:
    """Return the name of a pool's queue."""
    return f"{prefix}.pool.{pool}"


def envelope(wakeup: WakeUp) -> Envelope:
    """Return the message that wakes a task."""
    task_id = str(wakeup.id)
    return Envelope(
        routing_key=wakeup.type,
        headers=canonical_headers(wakeup.type, task_id),
        correlation_id=task_id,
        priority=wakeup.priority,
    )


def canonical_headers(task_type: str, task_id: str) -> dict[str, str]:
    """Return the headers Celery needs, and no others."""
    return {"lang": "py", "task": task_type, "id": task_id, "root_id": task_id}


def fault(headers: Any, content_type: Any, content_encoding: Any, body: Any) -> str | None:
    """Return why a received message is no wake-up, in words, or None. Never raises."""
    if not isinstance(headers, dict):
        return "it has no headers"
    task_type, task_id = headers.get("task"), headers.get("id")
    if not isinstance(task_type, str) or not 0 < len(task_type) <= _LONGEST_TYPE:
        return "its header `task` is not a task type"
    if not isinstance(task_id, str) or not _is_uuid(task_id):
        return "its header `id` is not a UUID"
    if (content_type, content_encoding) != (CONTENT_TYPE, CONTENT_ENCODING):
        return f"it is not {CONTENT_TYPE} in {CONTENT_ENCODING}"
    raw = body.encode("utf-8", "replace") if isinstance(body, str) else body
    if not isinstance(raw, bytes | bytearray | memoryview) or bytes(raw) != BODY:
        return "its body is not that of a wake-up"
    return None


def _is_uuid(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
