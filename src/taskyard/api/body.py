"""Request bodies: no larger and no slower than their route allows, and never encoded.

The size is held against the limit while the body arrives, so one without a Content-Length gains
nothing; it is read after who asks was let in, so that strangers cannot fill the memory.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from quart import Request, request
from werkzeug.exceptions import RequestEntityTooLarge

from taskyard.core.errors import BodyTooSlow, PayloadTooLarge, UnsupportedMediaType
from taskyard.core.events import LARGEST_EVENT
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.services.cloudevents import BATCH

LARGEST_BODY = 64 * 1024 * 1024  # a batch: 10,000 tasks of some size
_MIB = 1024 * 1024
_BESIDE_ARGS = 64 * 1024  # labels, times and what else a submission has

FIRST_SECONDS = 20.0  # for a body to arrive …
SLOWEST = 16 * 1024  # … and a second more for each of these many bytes that have


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """How large a body may be, in bytes, by what it is sent to."""

    submission: int = _MIB

    def of(self, method: str, path: str, mimetype: str) -> int:
        """Return the limit of one request. What has no use for a body may have a small one."""
        if method not in ("POST", "PATCH"):
            return _BESIDE_ARGS
        if path == "/v1/tasks/batch":
            return LARGEST_BODY
        if path == "/v1/events":
            return LARGEST_BODY if mimetype == BATCH else LARGEST_EVENT
        return self.submission


def limits(table: RoutingTable) -> BodyLimits:
    """Return the limits under a routing table: a body may spell arguments twice as long."""
    largest = max(each.max_args for each in (TaskDefaults(), *table.defaults.values()))
    return BodyLimits(submission=max(_MIB, 2 * largest + _BESIDE_ARGS))


def bounded_request(bodies: BodyLimits) -> type[Request]:
    """Return the class of requests whose bodies are bounded by their route."""

    class BoundedRequest(Request):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            method, _, path, _, headers = args[:5]
            mimetype = headers.get("Content-Type", "").partition(";")[0].strip().lower()
            limit = bodies.of(method, path, mimetype)
            super().__init__(*args, **{**kwargs, "max_content_length": limit})
            self.max_content_length = limit

    return BoundedRequest


async def raw_body() -> bytes:
    """Return the body as it came.

    Raises UnsupportedMediaType when it is encoded, PayloadTooLarge and BodyTooSlow.
    """
    _refuse_encoded()
    chunks: list[bytes] = []
    size, largest = 0, request.max_content_length or LARGEST_BODY
    try:
        async with asyncio.timeout(FIRST_SECONDS) as limit:
            async for chunk in request.body:
                size += len(chunk)
                if size > largest:
                    raise RequestEntityTooLarge
                chunks.append(chunk)
                limit.reschedule((limit.when() or 0.0) + len(chunk) / SLOWEST)
    except RequestEntityTooLarge:
        raise PayloadTooLarge(f"the body is larger than {largest} bytes") from None
    except TimeoutError:
        raise BodyTooSlow(
            f"{size} bytes have come; a body may take {FIRST_SECONDS:g} s, and a second more "
            f"for each {SLOWEST} bytes"
        ) from None
    return b"".join(chunks)


def _refuse_encoded() -> None:
    """Nothing is unpacked here: what is small on the wire could be large in memory."""
    for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
        given = request.headers.get(name, "").strip()
        if given and given.lower() != plain:
            raise UnsupportedMediaType(
                f"the body has the {name} {given[:80]!r}; send it without one"
                if name == "Content-Encoding"
                else f"the body has the {name} {given[:80]!r}; only {plain} is understood"
            )
