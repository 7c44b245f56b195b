"""Server-sent events.

Specification: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from quart import Response, request

from taskyard.api.pace import paced

MEDIA_TYPE = "text/event-stream"
HEARTBEAT = 15.0  # seconds without a byte after which proxies and clients may lose faith
_RETRY = 2000  # milliseconds that a client waits before it comes back


def event(kind: str, data: Any, *, place: int | str | None = None) -> bytes:
    """Return one event. JSON has no line breaks, so its data is one line."""
    lines = [b"event: ", kind.encode(), b"\ndata: ", msgspec.json.encode(data)]
    if place is not None:
        lines += [b"\nid: ", str(place).encode()]
    return b"".join([*lines, b"\n\n"])


def opening(place: int | str) -> bytes:
    """Return how a stream begins: where to resume, though nothing has come yet, and how soon."""
    return f"retry: {_RETRY}\nid: {place}\n\n".encode()


def heartbeat(place: int | str) -> bytes:
    """Return a comment that also moves on where to resume: it tells of what was left out."""
    return f": still here\nid: {place}\n\n".encode()


def now() -> float:
    """Return the time on the loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


def stream_response(content: AsyncIterator[bytes]) -> Response:
    """Return a response that lasts as long as there is content, at the pace of the client."""
    client = request.scope.get("client") if request.http_version == "1.1" else None
    # granian gives the port as text, others as a number.
    content = paced(content, (client[0], int(client[1])) if client else None)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = Response(content, 200, headers, content_type=MEDIA_TYPE)
    response.timeout = None  # quart would cut it after a minute
    return response
