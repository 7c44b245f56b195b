"""tracing.py: where nobody asked for traces there is nothing of them."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from taskyard import tracing
from taskyard.bootstrap.observing import traced
from taskyard.broker.cloudevents import CloudEvent, message_of
from taskyard.core.errors import Misconfigured
from taskyard.core.trace import TraceContext, trace_of
from taskyard.settings import Settings

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings that ask for nothing, and an environment that does not either."""
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return Settings(database_url="postgresql://h/d", amqp_url="amqp://h/v", stores={})


def test_without_an_endpoint_nothing_is_traced(given: Settings) -> None:
    """A span is nothing, and what a caller sent is not looked at."""
    with traced(given, "api"):
        with tracing.span("any", root=True) as span:
            assert span is None
            assert (tracing.here(), tracing.ids(), tracing.is_on()) == (None, None, False)
        assert tracing.incoming(PARENT) is None
        parent = TraceContext(traceparent=PARENT)
        assert tracing.record("any", parent=parent, start=0, end=1) is None


def test_without_an_endpoint_opentelemetry_is_not_loaded() -> None:
    """Not by any role: it would cost memory and time at every start."""
    roles = "import taskyard.api.app, taskyard.dispatcher, taskyard.ingest, taskyard.worker.base"
    code = f"import sys; {roles}; print(any(n.startswith('opentelemetry') for n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were not installed."""
    monkeypatch.delitem(sys.modules, "taskyard.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)


@pytest.mark.usefixtures("not_installed")
def test_who_asks_for_traces_is_told_what_is_missing(given: Settings) -> None:
    """And the process does not start without them."""
    asked = replace(given, otlp_endpoint="http://127.0.0.1:1")
    with pytest.raises(Misconfigured, match=r"taskyard\[tracing\]"), traced(asked, "api"):
        pass


@pytest.mark.usefixtures("not_installed")
def test_a_variable_of_the_whole_cluster_stops_nobody(
    given: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OTEL_… may be set for other programs: without the extra the process just starts."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    with traced(given, "api"):
        assert not tracing.is_on()


def test_a_lifecycle_event_carries_the_trace() -> None:
    """As attributes of the extension Distributed Tracing; without a trace it has none."""
    event = CloudEvent(
        id="1", source="/t", type="task.a.succeeded", subject="s", time=datetime.now(UTC), data=b""
    )
    plain = message_of(event).properties.headers or {}
    context = trace_of(PARENT, "them=1")
    headers = message_of(replace(event, trace=context)).properties.headers or {}
    assert not any("trace" in name for name in plain)
    assert headers["cloudEvents_traceparent"] == PARENT
    assert headers["cloudEvents_tracestate"] == "them=1"
