"""How a process is watched from outside: its traces."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from taskyard import tracing
from taskyard.core.errors import Misconfigured
from taskyard.settings import Settings

log = structlog.get_logger(__name__)

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


@contextmanager
def traced(given: Settings, role: str) -> Iterator[None]:
    """Trace this process if it is asked for, and send what is left when it ends.

    Raises Misconfigured when it was asked for by us and cannot be.
    """
    ours, theirs = given.otlp_endpoint, any(os.environ.get(name) for name in _ENDPOINTS)
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not (ours or theirs):
        yield
        return
    try:
        tracing.begin(ours, service=f"taskyard-{role.replace(' ', '-')}")
    except ImportError:
        if ours:
            raise Misconfigured(
                "TASKYARD_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: "
                "pip install 'taskyard[tracing]'"
            ) from None
        # Those variables are often set for a whole cluster.
        log.info("not traced: OpenTelemetry is not installed")
    try:
        yield
    finally:
        tracing.end()
