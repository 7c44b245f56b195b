"""The settings about how a deployment is watched: its metrics and traces."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from taskyard.setting import Setting

_TRACE_ID = "{trace_id}"


def _otlp_endpoint(text: str) -> str | None:
    if text and (urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname):
        raise ValueError(f"is {text[:80]!r}, not a URL like http://127.0.0.1:4318")
    return text or None


def _trace_url(text: str) -> str | None:
    if not text:
        return None
    if urlsplit(text).scheme not in ("http", "https") or text.count(_TRACE_ID) != 1:
        raise ValueError(
            f"is {text[:80]!r}, not a URL with {_TRACE_ID} in it once: "
            f"https://traces.example.com/trace/{_TRACE_ID}"
        )
    return text


def _address(text: str) -> tuple[str, int] | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if not colon or not (port.isascii() and port.isdigit()) or not 1 <= int(port) <= 65535:
        raise ValueError(f"is {text[:80]!r}, not an address like 127.0.0.1:9100")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - who says :9100 means all


OBSERVING: Mapping[str, Setting] = {
    "metrics_listen": Setting(
        parse=_address,
        default="",
        meaning="where dispatcher, ingest and workers serve their own metrics: 0.0.0.0:9100",
    ),
    "otlp_endpoint": Setting(
        parse=_otlp_endpoint,
        default="",
        meaning="where spans are sent, over OTLP/HTTP, with taskyard[tracing]: http://127.0.0.1:4318",
    ),
    "trace_url": Setting(
        parse=_trace_url,
        default="",
        meaning="where a trace is shown: https://traces.example.com/trace/{trace_id}",
    ),
}
