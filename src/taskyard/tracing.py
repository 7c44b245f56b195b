"""Tracing: spans of what is done for a task; nothing at all where nobody asked for them.

Everything here is one comparison until `begin` was called. OpenTelemetry is an extra, and is loaded
by nobody else (taskyard/spans.py).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from taskyard.core.trace import TraceContext

if TYPE_CHECKING:
    from taskyard.spans import Span, Spans

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]

_NONE: Attributes = {}
_spans: "Spans | None" = None


def begin(endpoint: str | None, *, service: str) -> None:
    """Send spans from now on, to an OTLP endpoint or to where OTEL_… says.

    Raises ImportError without the extra `tracing`.
    """
    global _spans  # noqa: PLW0603 - a process has one tracing, as it has one log
    from taskyard.spans import Spans  # noqa: PLC0415 - an extra

    _spans = Spans(endpoint, service=service)


def end() -> None:
    """Send what was not sent yet, for a moment, and trace no more."""
    global _spans
    spans, _spans = _spans, None
    if spans is not None:
        spans.flush()


def flush() -> None:
    """Send what was not sent yet, before a process of a pool ends."""
    if _spans is not None:
        _spans.flush()


def is_on() -> bool:
    """Whether spans are sent."""
    return _spans is not None


def here() -> TraceContext | None:
    """Return the current span as it goes over a wire, or None outside of all traces."""
    return None if _spans is None else _spans.here()


def ids() -> tuple[str, str] | None:
    """Return the ids of the current trace and span in hexadecimal."""
    return None if _spans is None else _spans.ids()


def incoming(traceparent: str | None, tracestate: str | None = None) -> TraceContext | None:
    """Return what a caller sent, or None for what the specification has us ignore."""
    if _spans is None or traceparent is None:
        return None
    return _spans.incoming(traceparent, tracestate)


@contextmanager
def span(
    name: str,
    *,
    parent: TraceContext | None = None,
    kind: Kind = "internal",
    attributes: Attributes = _NONE,
    root: bool = False,
) -> Iterator["Span | None"]:
    """Make what the body does a span: of `parent`, else of the current one.

    Without either there is none, unless it may be a root.
    """
    if _spans is None or (parent is None and not root and _spans.here() is None):
        yield None
        return
    with _spans.current(name, parent, kind, attributes) as it:
        yield it


def enter(
    name: str | None,
    *,
    parent: TraceContext | None = None,
    kind: Kind = "internal",
    attributes: Attributes = _NONE,
) -> "Span | None":
    """Begin a span, maybe a root, that is the current one for the rest of this context.

    Who enters ends it. Without a name, no span is the current one.
    """
    if _spans is None:
        return None
    return _spans.enter(name, parent, kind, attributes)


def record(
    name: str,
    *,
    parent: TraceContext | None,
    start: int,
    end: int,
    kind: Kind = "internal",
    attributes: Attributes = _NONE,
) -> TraceContext | None:
    """Add a span that is over, from `start` to `end` in nanoseconds of the epoch.

    Returns it as the parent of others; None when there is no trace to add it to.
    """
    if _spans is None or parent is None:
        return None
    return _spans.record(name, parent, start, end, kind, attributes)


def mark(attributes: Attributes, *, fault: str | None = None) -> None:
    """Say more of the current span; with a fault, that it came to nothing."""
    if _spans is not None:
        _spans.mark(attributes, fault)
