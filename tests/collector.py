"""An OTLP/HTTP collector for the tests: it keeps the spans that all processes of a stack send."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    """A span as it was sent, and which service sent it."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    state: str
    start: int
    end: int
    fault: str
    about: dict[str, Any]


@dataclass
class Collector:
    """What has come, and where it listens."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, trace: str) -> list[Span]:
        """The spans of one trace, the earliest first."""
        return sorted((s for s in self.spans if s.trace == trace), key=lambda s: s.start)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [_read(service["service.name"], each) for each in scope.spans]


def _read(service: str, sent: Any) -> Span:
    about = {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in sent.attributes}
    return Span(
        service=service,
        name=sent.name,
        trace=sent.trace_id.hex(),
        id=sent.span_id.hex(),
        parent=sent.parent_span_id.hex(),
        state=sent.trace_state,
        start=sent.start_time_unix_nano,
        end=sent.end_time_unix_nano,
        fault=sent.status.message if sent.status.code == 2 else "",
        about=about,
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listen on a port of loopback: for spans, and for webhooks, of which the headers are kept."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                packed = self.headers.get("content-encoding") == "gzip"
                collector.take(gzip.decompress(body) if packed else body)
            else:
                collector.headers.append({k.lower(): v for k, v in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_port
        serving = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        serving.start()
        try:
            yield collector
        finally:
            server.shutdown()
            serving.join()
