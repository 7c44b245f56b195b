"""What stands before the application: requests refused by HTTP itself, or for want of time.

granian 2.8 ends a request whose body breaks off or is framed wrongly with a disconnect, and what
an application leaves unanswered becomes its 500.
"""

import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

from taskyard.api.errors import MEDIA_TYPE, describe, problem
from taskyard.api.gate import Gate, first_of
from taskyard.api.pressure import Pressure
from taskyard.api.views import Problem
from taskyard.core.errors import MalformedBody, Overloaded

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


_TOO_BUSY = describe(Overloaded("this process is behind with its requests; try again soon"))
_ONE_TASK = "/v1/tasks"
_NEW_WORK = (_ONE_TASK, "/v1/tasks/batch", "/v1/events")
_SOONEST, _LATEST = 1, 3  # seconds until who was refused should come again


def fronted(
    application: Application,
    pressure: Pressure,
    shed: Callable[[], None] = lambda: None,
    gate: Gate | None = None,
) -> Application:
    """Return the application behind what HTTP asks of a request; `shed` hears of each refusal."""

    async def front(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
        elif refusal := _refusal(scope):
            await _refuse(send, refusal, (b"connection", b"close"))
        elif _is_new_work(scope):
            await take_in(scope, receive, send)
        elif any(name in _ANNOUNCE_A_BODY for name, _ in scope["headers"]):
            await _Exchange(receive, send).serve(application, scope)
        else:
            await application(scope, receive, send)

    async def take_in(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        caller, measured = _caller(scope), _is_measured(scope)
        if pressure.refuses(caller, counted=measured):
            # What else is asked for costs less, and helps those who look what is wrong.
            shed()
            seconds = random.randint(_SOONEST, _LATEST)  # noqa: S311 - it spreads who comes back
            await _refuse(send, _TOO_BUSY, _come_again(seconds))
            return
        if gate and gate.is_watched and scope["path"] == _ONE_TASK:
            length = next((v for n, v in scope["headers"] if n == b"content-length"), b"")
            body, receive = await first_of(receive, length=length)
            if body and (full := gate.refusal(scope["headers"], body)):
                await _refuse(send, describe(full), _come_again(full.retry_after))
                return
        if not measured:
            await _Exchange(receive, send).serve(application, scope)
            return
        visit = pressure.visit(caller)
        exchange = _Exchange(receive, send, visit.came)
        try:
            await exchange.serve(application, scope)
        finally:
            visit.end(exchange.seconds)

    return front


def _come_again(seconds: int) -> tuple[bytes, bytes]:
    return b"retry-after", b"%d" % seconds


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


def _is_new_work(scope: MutableMapping[str, Any]) -> bool:
    return scope["method"] == "POST" and scope["path"] in _NEW_WORK


def _caller(scope: MutableMapping[str, Any]) -> int:
    """Tell callers apart by their credentials, which nobody has looked at yet."""
    return hash(tuple(v for n, v in scope["headers"] if n in (b"authorization", b"cookie")))


def _is_measured(scope: MutableMapping[str, Any]) -> bool:
    """Whether how long it took says how busy we are: not if it was large, or asked to wait."""
    return scope["path"] == "/v1/tasks" and all(name != b"prefer" for name, _ in scope["headers"])


class _Exchange:
    """One request with a body: it has to arrive whole. `seconds` is from then to the answer."""

    def __init__(
        self, receive: Receive, send: Send, on_whole: Callable[[], None] = lambda: None
    ) -> None:
        self._receive = receive
        self._on_whole = on_whole
        self._send = send
        self._whole = self._broken = self._answered = False
        self._came_at = 0.0
        self.seconds = 0.0

    async def serve(self, application: Application, scope: MutableMapping[str, Any]) -> None:
        await application(scope, self._on_receive, self._on_send)
        if self._broken and not self._answered:
            await _refuse(self._send, _BROKEN, (b"connection", b"close"))

    async def _on_receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._came_at = time.monotonic()
            if not self._whole and not message.get("more_body", False):
                self._whole = True
                self._on_whole()
        elif message["type"] == "http.disconnect":
            self._broken = not self._whole
        return message

    async def _on_send(self, message: Message) -> None:
        if not self._answered and self._came_at:
            self.seconds = time.monotonic() - self._came_at
        self._answered = True
        await self._send(message)


async def _refuse(send: Send, members: Problem, *also: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", MEDIA_TYPE.encode()), *also]
    status = members.status
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": msgspec.json.encode(members)})
