"""Spans of OpenTelemetry, sent over OTLP/HTTP. Loaded by taskyard/tracing.py alone."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from taskyard.core.trace import TraceContext

if TYPE_CHECKING:
    from taskyard.tracing import Attributes, Kind

Span = trace.Span

_SEND_EVERY = 1_000  # milliseconds; a process that is killed takes so much along
_MOST_WAITING = 16_384  # spans; what comes on top is dropped, as the collector is too slow
_FLUSH_WITHIN = 2.0  # seconds, when a process ends
_EXPORT_WITHIN = 5.0  # seconds
_LONGEST_STATE = 512  # characters; section 3.3.1.5 lets a longer one be left out
_W3C = TraceContextTextMapPropagator()


class Spans:
    """The spans of this process: also those of task code, which asks for the global tracer."""

    def __init__(self, endpoint: str | None, *, service: str) -> None:
        given = trace.get_tracer_provider()
        if not isinstance(given, TracerProvider):  # else somebody else has set tracing up
            given = _provider(endpoint, service)
            trace.set_tracer_provider(given)
        self._provider = given
        self._tracer = given.get_tracer("taskyard")

    def flush(self) -> None:
        """Send what is left, for two seconds at most.

        The SDK's own limit is none: while the collector is away, each batch takes its timeout.
        """
        flushing = threading.Thread(target=self._provider.force_flush, daemon=True)
        flushing.start()
        flushing.join(_FLUSH_WITHIN)

    def here(self) -> TraceContext | None:
        """Return the current span."""
        return _outgoing(trace.get_current_span().get_span_context())

    def ids(self) -> tuple[str, str] | None:
        """Return the ids of the current trace and span."""
        at = trace.get_current_span().get_span_context()
        if not at.is_valid:
            return None
        return trace.format_trace_id(at.trace_id), trace.format_span_id(at.span_id)

    def incoming(self, traceparent: str, tracestate: str | None) -> TraceContext | None:
        """Return what was sent if it is a trace context."""
        sent = {"traceparent": traceparent}
        if tracestate is not None and len(tracestate) <= _LONGEST_STATE:
            sent["tracestate"] = tracestate
        found = trace.get_current_span(_W3C.extract(sent, context.Context()))
        return _outgoing(found.get_span_context())

    @contextmanager
    def current(
        self, name: str, parent: TraceContext | None, kind: "Kind", attributes: "Attributes"
    ) -> Iterator[Span]:
        """Make the body a span. Who runs it says itself what an error means."""
        with self._tracer.start_as_current_span(
            name,
            context=None if parent is None else _context(parent),
            kind=SpanKind[kind.upper()],
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            yield span

    def enter(
        self, name: str | None, parent: TraceContext | None, kind: "Kind", attributes: "Attributes"
    ) -> Span | None:
        """Begin a span that stays the current one until another is entered."""
        if name is None:
            context.attach(context.Context())
            return None
        span = self._tracer.start_span(
            name,
            context=context.Context() if parent is None else _context(parent),
            kind=SpanKind[kind.upper()],
            attributes=attributes,
        )
        context.attach(trace.set_span_in_context(span, context.Context()))
        return span

    def record(
        self,
        name: str,
        parent: TraceContext,
        start: int,
        end: int,
        kind: "Kind",
        attributes: "Attributes",
    ) -> TraceContext | None:
        """Add a span that is over."""
        span = self._tracer.start_span(
            name,
            context=_context(parent),
            kind=SpanKind[kind.upper()],
            attributes=attributes,
            start_time=start,
        )
        span.end(end)
        return _outgoing(span.get_span_context())

    def mark(self, attributes: "Attributes", fault: str | None) -> None:
        """Say more of the current span."""
        span = trace.get_current_span()
        span.set_attributes(dict(attributes))
        if fault is not None:
            span.set_attribute("error.type", fault)
            span.set_status(Status(StatusCode.ERROR, fault))


def _provider(endpoint: str | None, service: str) -> TracerProvider:
    """Return what samples as OTEL_TRACES_SAMPLER says, and sends in the background.

    Its thread begins anew in every process that is forked.
    """
    given = {"service.name": service} if "OTEL_SERVICE_NAME" not in os.environ else {}
    provider = TracerProvider(resource=Resource.create(given), shutdown_on_exit=False)
    url = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(
        BatchSpanProcessor(
            OTLPSpanExporter(endpoint=url, timeout=_EXPORT_WITHIN),
            max_queue_size=_MOST_WAITING,
            schedule_delay_millis=_SEND_EVERY,
        )
    )
    return provider


def _context(parent: TraceContext) -> context.Context:
    return _W3C.extract(parent.headers, context.Context())


def _outgoing(span: SpanContext) -> TraceContext | None:
    if not span.is_valid:
        return None
    return TraceContext(
        traceparent=f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}",
        tracestate=span.trace_state.to_header() or None,
    )
