"""Task code that traces: it asks for the global tracer, as any library does."""

from opentelemetry import trace


def own_span() -> str:
    """Do something in a span of its own; return the span that was the current one before."""
    before = trace.get_current_span().get_span_context()
    with trace.get_tracer("tinytasks").start_as_current_span("own part"):
        return trace.format_span_id(before.span_id)
