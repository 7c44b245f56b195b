"""How fast a client reads a stream: granian takes whatever it is given, and keeps it in memory.

So the kernel is asked how much of it the client has acknowledged (TCP_INFO, tcp(7)), and no more
is sent while too much is on its way. The rest waits in the reader's own queue, which is bounded.
Where the connection cannot be found (another system, HTTP/2, a Unix socket) nobody is held up.
"""

import asyncio
import os
import socket
import stat
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

WINDOW = 256 * 1024  # bytes on their way to one client
STALLED_AFTER = 60.0  # seconds without a byte taken, after which the connection is cut
_LOOK_AFTER = 64 * 1024  # bytes sent since the last look
_LOOK_EVERY = 0.1  # seconds

# struct tcp_info of linux/tcp.h: unacked packets, bytes acknowledged, bytes not sent yet.
_UNACKED, _ACKED, _NOT_SENT = struct.Struct("=I"), struct.Struct("=Q"), struct.Struct("=I")
_UNACKED_AT, _ACKED_AT, _NOT_SENT_AT, _SIZE = 24, 120, 144, 148


class _Stalled(Exception):
    """The client has taken nothing for too long; its connection was cut."""


class _Connection:
    """The connection to one client, as the kernel sees it."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened

    def taken(self) -> tuple[int, bool]:
        """Return how many bytes the client has acknowledged, and whether that is all there were."""
        told = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        if len(told) < _SIZE:
            raise OSError("the kernel does not tell")
        (unacked,) = _UNACKED.unpack_from(told, _UNACKED_AT)
        (acked,) = _ACKED.unpack_from(told, _ACKED_AT)
        (not_sent,) = _NOT_SENT.unpack_from(told, _NOT_SENT_AT)
        return acked, unacked == not_sent == 0

    def cut(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()


def _find(client: tuple[str, int]) -> _Connection | None:
    """Return our end of the connection to a client."""
    files = Path("/proc/self/fd")
    for entry in files.iterdir() if files.is_dir() else ():
        if opened := _opened(int(entry.name)):
            if _peer(opened) == client:
                return _Connection(opened)
            opened.close()
    return None


def _opened(number: int) -> socket.socket | None:
    """Return another handle on a file of this process, if that is a socket."""
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            return socket.socket(fileno=os.dup(number))
    except OSError:
        pass  # it has been closed meanwhile
    return None


def _peer(opened: socket.socket) -> tuple[str, int] | None:
    try:
        address = opened.getpeername()
    except OSError:
        return None  # it listens, or is not connected any more
    internet = opened.family in (socket.AF_INET, socket.AF_INET6)
    return (address[0], address[1]) if internet else None


async def paced(
    content: AsyncIterator[bytes], client: tuple[str, int] | None
) -> AsyncIterator[bytes]:
    """Yield content no faster than the client takes it."""
    pace = _Pace(client)
    try:
        async for chunk in content:
            yield chunk
            await pace.after(chunk)
    except _Stalled:
        log.info("reader stalled, connection cut", client=client)
    finally:
        pace.close()
        await content.aclose()  # type: ignore[attr-defined]


class _Pace:
    def __init__(self, client: tuple[str, int] | None) -> None:
        self._client = client
        self._connection: _Connection | None = None
        self._on_its_way = 0
        self._since_look = 0
        self._acked = 0

    async def after(self, chunk: bytes) -> None:
        """Return once it is time for more."""
        if self._client is None:
            return
        self._since_look += len(chunk) + len(f"{len(chunk):x}") + 4  # as HTTP/1.1 frames a chunk
        if self._since_look < _LOOK_AFTER:
            return
        try:
            await self._look()
        except OSError:
            self._client = None  # nothing to be known; if it is gone, the server says so

    async def _look(self) -> None:
        if self._connection is None:
            if self._client is None or (found := _find(self._client)) is None:
                self._client = None
                return
            self._connection, (self._acked, _) = found, found.taken()
        self._on_its_way += self._since_look
        self._since_look = 0
        moved_at, idle = asyncio.get_running_loop().time(), False
        while self._on_its_way > WINDOW:
            acked, nothing_left = self._connection.taken()
            now = asyncio.get_running_loop().time()
            if acked > self._acked:
                self._on_its_way -= acked - self._acked
                self._acked, moved_at, idle = acked, now, False
            elif nothing_left and idle:
                self._on_its_way = 0  # the server had nothing more to give at two looks
            elif now - moved_at > STALLED_AFTER:
                self._connection.cut()
                raise _Stalled
            else:
                idle = nothing_left
                await asyncio.sleep(_LOOK_EVERY)

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
