"""Where a task belongs among the traces of its callers."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceContext:
    """The span that a task's later spans are children of, as it goes over a wire.

    W3C Trace Context, sections 3.2 and 3.3. Made of what was parsed, never of what was sent.
    """

    traceparent: str
    tracestate: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The same as headers of a request, or as attributes of a CloudEvent."""
        if self.tracestate is None:
            return {"traceparent": self.traceparent}
        return {"traceparent": self.traceparent, "tracestate": self.tracestate}


def trace_of(traceparent: str | None, tracestate: str | None) -> TraceContext | None:
    """Return what two columns of a row hold, or None when they hold nothing."""
    if traceparent is None:
        return None
    return TraceContext(traceparent=traceparent, tracestate=tracestate)
