"""Log lines in the names of the Elastic Common Schema: flat JSON that any collector understands.

https://www.elastic.co/docs/reference/ecs/ecs-field-reference; what it has no name for is in
`taskyard.*`.
"""

import traceback
from types import TracebackType
from typing import Any

import structlog

VERSION = "8.17"
_NAMES = {
    "event": "message",
    "level": "log.level",
    "logger": "log.logger",
    "timestamp": "@timestamp",
    "error": "error.message",
    "request_id": "http.request.id",
    "method": "http.request.method",
    "path": "url.path",
    "trace_id": "trace.id",
    "span_id": "span.id",
    "action": "event.action",
    "outcome": "event.outcome",
    "duration": "event.duration",
}
_FIRST = ("@timestamp", "log.level", "message")


def _described(
    fault: tuple[type[BaseException], BaseException, TracebackType | None],
) -> dict[str, str]:
    kind, error, _ = fault
    return {
        "error.type": f"{kind.__module__}.{kind.__qualname__}",
        "error.message": str(error),
        "error.stack_trace": "".join(traceback.format_exception(*fault)).rstrip(),
    }


describe_faults = structlog.processors.ExceptionRenderer(_described)  # type: ignore[arg-type]


def as_ecs(_logger: Any, _name: str, event: Any) -> dict[str, Any]:
    """Give every value of a line its name in the schema."""
    fault = event.pop("exception", None) or {}
    role = event.pop("role", None)
    named = {_NAMES.get(name, f"taskyard.{name}"): value for name, value in event.items()}
    first = {name: named.pop(name) for name in _FIRST if name in named}
    service = {"service.node.roles": [role]} if role else {}
    return {
        **first,
        "ecs.version": VERSION,
        "service.name": "taskyard",
        **service,
        **fault,
        **named,
    }
