"""A TCP proxy on loopback that cuts, delays, goes deaf, and swallows replies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum, auto

from taskyard.drill.wire import Ear

_PIECE = 64 * 1024
_SWALLOWS_FOR = 0.2  # seconds: what was asked is carried out while nobody hears of it

Heard = Callable[[str], bool]


class Mode(Enum):
    """What the proxy does with bytes."""

    PASS = auto()
    REFUSE = auto()  # new connections are closed at once
    DEAF = auto()  # connections stay open, and nothing comes through


@dataclass(slots=True, eq=False)
class _Link:
    """One client's connection."""

    ear: Ear
    writers: list[asyncio.StreamWriter]
    swallows: bool = False

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Stands before one server. Opened by `open_proxy`."""

    def __init__(self, target: tuple[str, int], ear: Callable[[], Ear]) -> None:
        self.target = target
        self._ear = ear
        self._links: set[_Link] = set()
        self._hearing = asyncio.Event()
        self._swallow: Heard | None = None
        self._left = 0
        self._refusing = False
        self.delay = 0.0  # seconds that each piece is held up
        self.port = 0
        self.swallowed = 0
        self.done_swallowing = asyncio.Event()

    def cut(self) -> int:
        """Cut every connection; return how many there were."""
        links = list(self._links)
        for link in links:
            link.cut()
        return len(links)

    def set(self, mode: Mode) -> None:
        """Change what happens to bytes, of open connections too."""
        self._refusing = mode is Mode.REFUSE
        if mode is Mode.DEAF:
            self._hearing.clear()
        else:
            self._hearing.set()

    def swallow(self, heard: Heard | None, *, times: int = 1) -> None:
        """Forward the next requests that are `heard`, swallow what is answered, then cut."""
        self._swallow, self._left = heard, times
        self.done_swallowing.clear()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until either side ends."""
        link = _Link(self._ear(), [writer])
        self._links.add(link)
        try:
            if not self._refusing:
                far_reader, far_writer = await asyncio.open_connection(*self.target)
                link.writers.append(far_writer)
                await self._relay(link, (reader, writer), (far_reader, far_writer))
        except (OSError, asyncio.IncompleteReadError):
            pass  # a lost connection is what a proxy is for
        finally:
            self._links.discard(link)
            link.cut()

    async def _relay(
        self,
        link: _Link,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        ways = {
            asyncio.create_task(self._outward(link, near[0], far[1])),
            asyncio.create_task(self._inward(link, far[0], near[1])),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _outward(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_PIECE):
            await self._hold()
            if self._asks_to_be_swallowed(link.ear.hear(data)) and not link.swallows:
                link.swallows = True
                asyncio.get_running_loop().call_later(_SWALLOWS_FOR, link.cut)
            writer.write(data)
            await writer.drain()

    async def _inward(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_PIECE):
            await self._hold()
            if not link.swallows:
                writer.write(data)
                await writer.drain()

    async def _hold(self) -> None:
        await self._hearing.wait()
        if self.delay:
            await asyncio.sleep(self.delay)  # that is the fault

    def _asks_to_be_swallowed(self, said: list[str]) -> bool:
        if self._swallow is None or self._left == 0 or not any(map(self._swallow, said)):
            return False
        self._left -= 1
        self.swallowed += 1
        if self._left == 0:
            self.done_swallowing.set()
        return True


@contextlib.asynccontextmanager
async def open_proxy(
    target: tuple[str, int], ear: Callable[[], Ear], *, port: int = 0
) -> AsyncIterator[Proxy]:
    """Listen on a port of loopback, and stand before `target` until the end."""
    proxy = Proxy(target, ear)
    proxy.set(Mode.PASS)
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", port)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.set(Mode.PASS)
        proxy.cut()
        await asyncio.sleep(0)
        await server.wait_closed()
