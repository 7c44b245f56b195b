"""Dispatch: publish wake-ups with confirms, and record what the broker said.

The API dispatches the rows it has just stored, the dispatcher all that is left: rows that were
scheduled, that the broker refused, or whose API died.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

import structlog

from taskyard.broker.publisher import Confirm, Publisher
from taskyard.core.errors import StorageUnavailable
from taskyard.core.states import State
from taskyard.core.task import Accepted, NewTask, TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.stopping import end
from taskyard.storage import tasks
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

# Seconds a row is left to the API that stored it. When that dies, its rows wait so long; when it is
# only slow, the dispatcher publishes them too, which is harmless.
HOLD = 5.0
_TAKEN = 15.0  # seconds a row is left to the dispatcher that took it; longer than a confirm takes
_IN_FLIGHT = 256  # unconfirmed publishes at once: more gain nothing (measured)
_MOST_FRESH = 2_000
_CLOSE_TIMEOUT = 3.0


async def dispatch(wakeups: Sequence[WakeUp], *, publisher: Publisher, pool: Pool) -> bool:
    """Publish wake-ups that this process holds; return whether the broker answered for all.

    Confirm before marking: a crash in between publishes twice, never zero times.
    """
    if not wakeups:
        return True
    confirms = await publisher.publish(wakeups)
    said: dict[Confirm, list[WakeUp]] = {confirm: [] for confirm in Confirm}
    for wakeup, confirm in zip(wakeups, confirms, strict=True):
        said[confirm].append(wakeup)
    async with borrowed(pool) as connection:
        if confirmed := said[Confirm.CONFIRMED]:
            await tasks.mark_queued(connection, confirmed)
        for refusal in (Confirm.UNROUTABLE, Confirm.NACKED):
            if refused := said[refusal]:
                log.error("wake-ups refused by the broker", why=refusal, count=len(refused))
                await tasks.put_back(connection, _ids(refused), refusal)
        if unanswered := said[Confirm.UNANSWERED]:
            await tasks.release(connection, _ids(unanswered), Confirm.UNANSWERED)
    return not said[Confirm.UNANSWERED]


def _ids(wakeups: Sequence[WakeUp]) -> list[TaskId]:
    return [wakeup.id for wakeup in wakeups]


async def dispatch_pending(*, publisher: Publisher, pool: Pool) -> int:
    """Take the most urgent pending tasks and dispatch them; return how many were taken."""
    async with borrowed(pool) as connection:
        taken = await tasks.take_pending(connection, limit=_IN_FLIGHT, hold=_TAKEN)
    if taken:
        await dispatch(taken, publisher=publisher, pool=pool)
    return len(taken)


class FreshWakeUps:
    """The wake-ups of rows that this process has just stored, on their way to the broker."""

    def __init__(self, *, publisher: Publisher, pool: Pool) -> None:
        self._publisher = publisher
        self._pool = pool
        self._waiting: deque[WakeUp] = deque()
        self._arrived = asyncio.Event()
        self._ring = False
        self._closing = False

    @property
    def takes_more(self) -> bool:
        """Whether a row stored now will be published from here; else the dispatcher does it."""
        return self._publisher.connected.is_set() and len(self._waiting) < _MOST_FRESH

    def forward(self, stored: Iterable[tuple[NewTask, Accepted]]) -> None:
        """Publish soon what is due and held for us; wake the dispatcher for the rest."""
        for new, accepted in stored:
            if accepted.state is State.PENDING and new.hold:
                self._waiting.append(WakeUp(id=new.id, type=new.type, priority=new.priority))
            else:
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
            except StorageUnavailable as error:
                # The rows are pending still; the dispatcher takes them when their hold ends.
                log.warning("fresh wake-ups left to the dispatcher", error=error.detail)
            except Exception:
                log.exception("fresh wake-ups left to the dispatcher")

    async def _ring_if_asked(self) -> None:
        if self._ring:
            self._ring = False
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
