"""A reader of a stream: what is on its way to it is bounded, so a slow one harms nobody."""

import asyncio
import contextlib
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_WAITING = 1000

TOO_SLOW = f"too slow: {MOST_WAITING} events were waiting to be read"
STOPPING = "this process stops"
FAULT = "a fault of ours; it was logged"


class Reader(Generic[T]):
    """A bounded queue to one reader; `ended` says why nothing more comes, once that is so."""

    def __init__(self) -> None:
        self._waiting: deque[T] = deque()
        self._arrived = asyncio.Event()
        self.ended: str | None = None

    def offer(self, item: T) -> None:
        """Hand over what is new. A reader that has too much waiting is ended."""
        if self.ended is not None:
            return
        self._waiting.append(item)
        self._arrived.set()
        if len(self._waiting) > MOST_WAITING:
            self._waiting.clear()
            self.end(TOO_SLOW)

    def end(self, why: str) -> None:
        """Let nothing more come; what waits can still be taken."""
        self.ended = self.ended or why
        self._arrived.set()

    async def take(self, *, within: float) -> list[T]:
        """Return what waits; nothing when nothing came within so many seconds, or it ended."""
        if not self._waiting and self.ended is None:
            self._arrived.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._arrived.wait()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken
