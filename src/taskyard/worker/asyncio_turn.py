"""One task in the pool of coroutines, from the message to what Celery is told of its end."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo

from taskyard.worker.asyncio_attempt import Attempt, Cancelled, SoftLimit
from taskyard.worker.asyncio_loop import LoopThread
from taskyard.worker.asyncio_stacks import own_stacks
from taskyard.worker.threads import tell_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What Celery's request is told: all of it on the main thread, which owns the connection."""

    accepted: Callable[[int, float], None]
    succeeded: Callable[[Any], None]
    failed: Callable[[ExceptionInfo], None]
    timed_out: Callable[[bool, float], None]


class Turn:
    """A call of Celery's tracer. `on_end` is given the turn and how to tell of its end."""

    def __init__(
        self,
        trace: Callable[[], Any],
        told: Told,
        *,
        loop: LoopThread,
        limits: tuple[float | None, float | None],
        is_plain: bool,
        on_end: Callable[["Turn", Callable[[], None]], None],
    ) -> None:
        self.told = told
        self.soft_limit, self.hard_limit = limits
        self.began_at = self.killed_at = float("inf")
        self._trace = trace
        self._loop = loop
        self._on_end = on_end
        self._attempt: Attempt | None = None
        self._running: asyncio.Task[None] | None = None
        self._is_interrupted = False
        self.is_plain = is_plain

    def begin(self) -> None:
        """Run on the loop."""
        self.began_at = time.monotonic()
        self._attempt = Attempt(self.call)
        self._loop.call(self._begin)

    def interrupt(self, why: str = "the task was cancelled") -> None:
        """Cancel the coroutine, once, for a reason; said from any thread."""
        if not self._is_interrupted:
            self._is_interrupted = True
            self._stop(Cancelled(why))

    def kill(self) -> bool:
        """Cancel the coroutine and give it a moment; return False for what runs in a thread."""
        if self._attempt is None:
            return False
        if self.killed_at == float("inf"):
            self.killed_at = time.monotonic()
            self._stop(Cancelled("the lease is gone"))
        return True

    def call(self) -> None:
        """Call the tracer, and tell how it ended."""
        tell_of(
            self._trace,
            returned=lambda value: self._on_end(self, partial(self.told.succeeded, value)),
            lost=lambda error: self._on_end(self, partial(self.told.failed, error)),
        )

    def _begin(self) -> None:
        self._running = self._loop.loop.create_task(self._run())

    async def _run(self) -> None:
        own_stacks(self)
        assert self._attempt is not None
        if self.soft_limit is None:
            await self._attempt
            return
        limit = SoftLimit(self.soft_limit)
        alarm = self._loop.loop.call_later(self.soft_limit, self._attempt.stop, limit)
        try:
            await self._attempt
        finally:
            alarm.cancel()

    def _stop(self, why: BaseException) -> None:
        if self._attempt is not None:
            self._loop.call(partial(self._attempt.stop, why))
