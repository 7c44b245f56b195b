"""Requests at a rate that does not wait for answers, and as many as go with answers.

A latency begins when the request should have been sent: one that found no free connection has
waited on our side, but it is the server that kept it waiting.
"""

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import SplitResult

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_ID = re.compile(rb'"id":"([0-9a-f-]{36})"')
_TICK = 0.002
_ANSWERED_WITHIN = 60.0

Done = Callable[[int, bytes], None]  # status, body; 0 when the connection broke


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when it should have been sent, how long that took, and what came."""

    at: float
    seconds: float
    status: int


@dataclass(slots=True)
class Seen:
    """What a run saw."""

    answers: list[Answered] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    unanswered: int = 0

    def seconds(self, *, accepted: bool) -> list[float]:
        """Return the latencies of what was accepted, or of what was refused."""
        return [each.seconds for each in self.answers if (each.status in (200, 202)) is accepted]

    def statuses(self) -> dict[int, int]:
        """Count the answers by their status; 0 is a connection that broke."""
        return {
            s: sum(a.status == s for a in self.answers) for s in {a.status for a in self.answers}
        }


def request_bytes(url: SplitResult, key: str, body: bytes, *, prefer: str = "") -> bytes:
    """Return a submission as it is sent."""
    head = [
        "POST /v1/tasks HTTP/1.1",
        f"Host: {url.netloc}",
        f"Authorization: Bearer {key}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Prefer: {prefer}"] if prefer else []),
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


class Exchange(asyncio.Protocol):
    """One connection, with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = b""
        self._done: Done | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def send(self, request: bytes, done: Done) -> None:
        assert self._transport is not None
        self._received, self._done = b"", done
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if end and (length := _LENGTH.search(head)) and len(body) >= int(length[1]):
            self._finish(int(head[9:12]), body)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None:
            self._finish(0, b"")

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, status: int, body: bytes) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(status, body)


class Clients:
    """Many connections, and what they have seen."""

    def __init__(self, url: SplitResult, request: bytes) -> None:
        self._url = url
        self._request = request
        self._all: list[Exchange] = []
        self._idle: deque[Exchange] = deque()
        self._late: deque[float] = deque()
        self._under_way = 0
        self._again = False
        self.seen = Seen()

    async def open_(self, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, exchange = await loop.create_connection(Exchange, self._url.hostname, self._url.port)
            self._all.append(exchange)
        self._idle.extend(self._all)

    def submit(self, at: float) -> None:
        """Send a request that should have been sent at a time of the monotonic clock."""
        while self._idle:
            exchange = self._idle.popleft()
            if exchange.usable:
                self._under_way += 1
                exchange.send(self._request, partial(self._on_answer, exchange, at))
                return
        self._late.append(at)

    def _on_answer(self, exchange: Exchange, at: float, status: int, body: bytes) -> None:
        now = time.monotonic()
        self._under_way -= 1
        self.seen.answers.append(Answered(at, now - at, status))
        if status in (200, 202) and (found := _ID.search(body)):
            self.seen.accepted.append(found[1].decode())
        self._idle.append(exchange)
        if self._late:
            self.submit(self._late.popleft())
        elif self._again:
            self.submit(now)

    async def finish(self) -> Seen:
        """Wait for the answers that are due, and return everything."""
        deadline = time.monotonic() + _ANSWERED_WITHIN
        while (self._under_way or self._late) and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        self.seen.unanswered = self._under_way + len(self._late)
        for each in self._all:
            each.close()
        return self.seen

    async def closed_loop(self, seconds: float) -> None:
        """Keep every connection busy."""
        self._again = True
        for _ in self._all:
            self.submit(time.monotonic())
        await asyncio.sleep(seconds)
        self._again = False

    async def open_loop(self, rate: float, seconds: float) -> None:
        """Send at a rate, whatever is answered."""
        began, sent = time.monotonic(), 0
        while (passed := time.monotonic() - began) < seconds:
            for _ in range(int(passed * rate) + 1 - sent):
                self.submit(began + sent / rate)
                sent += 1
            await asyncio.sleep(_TICK)


async def as_fast_as_it_goes(
    url: SplitResult, request: bytes, *, connections: int, seconds: float
) -> Seen:
    """Submit over so many connections, each as soon as it was answered."""
    clients = Clients(url, request)
    await clients.open_(connections)
    await clients.closed_loop(seconds)
    return await clients.finish()


async def at_rate(
    url: SplitResult, request: bytes, *, rate: float, seconds: float, connections: int = 256
) -> Seen:
    """Submit so many a second."""
    clients = Clients(url, request)
    await clients.open_(connections)
    await clients.open_loop(rate, seconds)
    return await clients.finish()
