"""Fresh wake-ups: what this process has just stored goes to the broker at once, if it has room."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from taskyard.broker.publisher import Publisher
from taskyard.core.errors import StorageUnavailable
from taskyard.core.states import State
from taskyard.core.task import Accepted, NewTask
from taskyard.core.wakeup import WakeUp
from taskyard.services.dispatch import dispatch
from taskyard.services.rooms import Rooms
from taskyard.stopping import end
from taskyard.storage import tasks
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

# Seconds a row is left to the API that stored it. When that dies, its rows wait so long; when it is
# only slow, the dispatcher publishes them too, which is harmless.
HOLD = 5.0
_IN_FLIGHT = 256  # unconfirmed publishes at once: more gain nothing (measured)
_MOST_FRESH = 512  # when more wait here, this process is behind: the dispatcher is sooner
_CLOSE_TIMEOUT = 3.0
_RING_EVERY = 0.02  # seconds: a NOTIFY makes all commits queue up behind each other


class FreshWakeUps:
    """The wake-ups of rows that this process has just stored, on their way to the broker."""

    def __init__(self, *, publisher: Publisher, pool: Pool) -> None:
        self._publisher = publisher
        self._pool = pool
        self._rooms = Rooms(pool)
        self._waiting: deque[WakeUp] = deque()
        self._arrived = asyncio.Event()
        self._ring = False
        self._rung_at = 0.0
        self._closing = False

    @property
    def takes_more(self) -> bool:
        """Whether a row stored now may be published from here; else the dispatcher does it."""
        return self._publisher.connected.is_set() and len(self._waiting) < _MOST_FRESH

    def held(self, task: NewTask) -> NewTask:
        """Return a row to store: held for us only if the window of its pool has room for it."""
        if not task.hold or task.delay or task.run_at or self._rooms.take(task.pool):
            return task
        return replace(task, hold=0.0)

    def forward(self, stored: Iterable[tuple[NewTask, Accepted]]) -> None:
        """Publish soon what is due and held for us; wake the dispatcher for the rest."""
        for new, accepted in stored:
            if accepted.state is State.PENDING and new.hold:
                wakeup = WakeUp(id=new.id, type=new.type, priority=new.priority, trace=new.trace)
                self._waiting.append(wakeup)
            elif accepted.state is not State.PENDING or not self._rooms.is_filled(new.pool):
                # A date to wait for is news to the dispatcher, however much waits already.
                self._ring = True
        self._arrived.set()

    async def send(self) -> None:
        """Dispatch what comes, as much at once as there is, until closed and nothing waits."""
        while self._waiting or not self._closing:
            await self._arrived.wait()
            count = min(len(self._waiting), _IN_FLIGHT)
            batch = [self._waiting.popleft() for _ in range(count)]
            if not self._waiting and not self._closing:
                self._arrived.clear()
            try:
                await self._ring_if_asked()
                await dispatch(batch, publisher=self._publisher, pool=self._pool)
                await self._rooms.look()
            except StorageUnavailable as error:
                # The rows are pending still; the dispatcher takes them when their hold ends.
                log.warning("fresh wake-ups left to the dispatcher", error=error.detail)
            except Exception:
                log.exception("fresh wake-ups left to the dispatcher")

    async def _ring_if_asked(self) -> None:
        if not self._ring:
            return
        if time.monotonic() < self._rung_at + _RING_EVERY and not self._closing:
            # What rings next has this one's rows published, too.
            asyncio.get_running_loop().call_later(_RING_EVERY, self._arrived.set)
            return
        self._ring, self._rung_at = False, time.monotonic()
        async with borrowed(self._pool) as connection:
            await tasks.ring(connection)

    def close(self) -> None:
        """Let `send` return when nothing waits."""
        self._closing = True
        self._arrived.set()


@asynccontextmanager
async def open_fresh(*, publisher: Publisher, pool: Pool) -> AsyncIterator[FreshWakeUps]:
    """Open the way of fresh wake-ups."""
    fresh = FreshWakeUps(publisher=publisher, pool=pool)
    sender = asyncio.create_task(fresh.send(), name="fresh wake-ups")
    try:
        yield fresh
    finally:
        fresh.close()
        await asyncio.wait([sender], timeout=_CLOSE_TIMEOUT)
        await end(sender)
