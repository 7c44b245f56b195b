"""A webhook endpoint for the tests: it takes what comes, and answers as it is told."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import repeat

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    """An answer as it goes over the wire."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Request:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """What came, and what is answered: one answer after the other, the last one for ever."""

    port: int = 0
    connections: int = 0
    most_at_once: int = 0
    requests: list[Request] = field(default_factory=list)
    answers: Iterator[bytes] = field(default_factory=lambda: repeat(OK))
    free: asyncio.Event = field(default_factory=asyncio.Event)  # unset: nobody gets an answer
    trickles: bool = False  # the first answer is sent again and again, and never ends
    _open: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            exact = {k: line.split(": ", 1)[1] for line in head[1:] if line
                     for k in [line.split(": ")[0].lower()]}  # fmt: skip
            body = await reader.readexactly(int(headers["content-length"]))
            self.requests.append(Request(head[0], exact, body))
            await self.free.wait()
            writer.write(piece := next(self.answers))
            await writer.drain()
            while self.trickles:
                await asyncio.sleep(0.02)
                writer.write(piece)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # who sends may go away
        finally:
            self._open -= 1
            writer.close()


@asynccontextmanager
async def receiving(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Listen on a port of loopback."""
    receiver = Receiver()
    receiver.free.set()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        receiver.free.set()
        server.close()
        await server.wait_closed()
