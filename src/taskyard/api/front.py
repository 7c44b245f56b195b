"""What stands before the application: requests that HTTP itself refuses, answered in its words.

granian 2.8 ends a request whose body breaks off or is framed wrongly with a disconnect, and what
an application leaves unanswered becomes its 500.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from taskyard.api.errors import MEDIA_TYPE, describe, problem
from taskyard.api.views import Problem
from taskyard.core.errors import MalformedBody

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

LONGEST_TARGET = 16 * 1024  # bytes of path and query as they were sent
LARGEST_HEADERS = 32 * 1024  # bytes of all names and values; there may be 100 of them

_BROKEN = describe(MalformedBody("the body broke off, or its chunks are not framed as HTTP has it"))
_NO_HOST = problem(
    400, "bad-request", "Bad Request", "HTTP/1.1 needs a Host header, once (RFC 9112, section 3.2)"
)
_LONG_TARGET = problem(
    414, "uri-too-long", "URI Too Long", f"path and query may have {LONGEST_TARGET} bytes"
)
_LARGE_HEADERS = problem(
    431, "headers-too-large", "Headers Too Large", f"all headers may have {LARGEST_HEADERS} bytes"
)


def fronted(application: Application) -> Application:
    """Return the application behind what HTTP asks of a request."""

    async def front(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
        elif refusal := _refusal(scope):
            await _refuse(send, refusal)
        elif any(name in _ANNOUNCE_A_BODY for name, _ in scope["headers"]):
            await _Exchange(receive, send).serve(application, scope)
        else:
            await application(scope, receive, send)

    return front


_ANNOUNCE_A_BODY = (b"content-length", b"transfer-encoding")


def _refusal(scope: MutableMapping[str, Any]) -> Problem | None:
    headers = scope["headers"]
    if len(scope.get("raw_path") or scope["path"]) + len(scope["query_string"]) > LONGEST_TARGET:
        return _LONG_TARGET
    if sum(len(name) + len(value) for name, value in headers) > LARGEST_HEADERS:
        return _LARGE_HEADERS
    # granian adds an empty one where there was none.
    if scope["http_version"] == "1.1" and [v != b"" for n, v in headers if n == b"host"] != [True]:
        return _NO_HOST
    return None


class _Exchange:
    """One request with a body: it has to arrive whole."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._whole = self._broken = self._answered = False

    async def serve(self, application: Application, scope: MutableMapping[str, Any]) -> None:
        await application(scope, self._on_receive, self._on_send)
        if self._broken and not self._answered:
            await _refuse(self._send, _BROKEN)

    async def _on_receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._whole = self._whole or not message.get("more_body", False)
        elif message["type"] == "http.disconnect":
            self._broken = not self._whole
        return message

    async def _on_send(self, message: Message) -> None:
        self._answered = True
        await self._send(message)


async def _refuse(send: Send, members: Problem) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"connection", b"close")]
    status = members.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(members)})
