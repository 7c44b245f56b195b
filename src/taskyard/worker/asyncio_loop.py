"""The event loop of a worker: a thread of its own, and the threads that block in its stead."""

import asyncio
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

import structlog
import uvloop

from taskyard.worker.asyncio_attempt import attempt_here, wait

log = structlog.get_logger(__name__)

T = TypeVar("T")

_STATEMENTS_AT_ONCE = 4  # each thread has a connection of its own
_TRANSACTIONS_AT_ONCE = 8  # finishing transactions: each takes a connection until its task ends
_HELD_UP = 5.0  # seconds that the loop gives no answer
_FRAMES = 4  # of the stack, that are shown of what holds it up


class LoopThread:
    """An event loop in a thread.

    It is not the main thread's, where Celery reads from the broker: code that forgets to await must
    not keep the worker from its heartbeats, nor a broker that is away hold up what runs.
    """

    def __init__(self) -> None:
        self.loop = uvloop.new_event_loop()
        self.transactions = asyncio.Semaphore(_TRANSACTIONS_AT_ONCE)
        self._statements = ThreadPoolExecutor(_STATEMENTS_AT_ONCE, "statements")
        self._thread = threading.Thread(target=self._run, name="event loop", daemon=True)
        self._calls: deque[Callable[[], object]] = deque()
        self._is_called = False
        self._asked_at: float | None = None
        self._is_told = False

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def is_here(self) -> bool:
        """Whether the caller is on the loop's thread."""
        return threading.get_ident() == self._thread.ident

    def call(self, function: Callable[[], object]) -> None:
        """Call a function on the loop, from any other thread; many calls cost one waking."""
        self._calls.append(function)
        if not self._is_called:
            self._is_called = True
            self.loop.call_soon_threadsafe(self._call_all)

    def run(self, function: Callable[[], T]) -> Awaitable[T]:
        """Let a thread do what blocks, in the context of the caller. On the loop only."""
        return self.loop.run_in_executor(self._statements, copy_context().run, function)

    def later(self, function: Callable[[], object]) -> None:
        """Let a thread do what blocks, some time soon; nobody waits for it."""
        self._statements.submit(copy_context().run, function)

    def aside(self, function: Callable[[], T]) -> T:
        """Do what blocks: around task code on the loop in a thread, anywhere else at once."""
        return wait(self.run(function)) if self._may_wait() else function()

    def answer(self, future: Future[T]) -> T:
        """Wait for what another thread will say: as `aside` does."""
        if self._may_wait():
            said = self.loop.create_future()
            future.add_done_callback(lambda _: self.call(lambda: said.set_result(None)))
            wait(said)
        return future.result()

    def _may_wait(self) -> bool:
        return (attempt := attempt_here()) is not None and attempt.may_wait

    def look(self) -> None:
        """Say what holds the loop up, when something does. Call it now and then, from elsewhere."""
        if self._asked_at is None:
            self._asked_at, self._is_told = time.monotonic(), False
            self.call(self._answer)
        elif time.monotonic() - self._asked_at > _HELD_UP and not self._is_told:
            self._is_told = True
            frame = sys._current_frames().get(self._thread.ident or 0)
            where = "".join(traceback.format_stack(frame, limit=_FRAMES)) if frame else ""
            log.error("a coroutine holds up all others", where=where)

    def end(self) -> None:
        """Stop the loop, and what it has left behind."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(2.0)
        self._statements.shutdown(wait=False, cancel_futures=True)

    def _answer(self) -> None:
        self._asked_at = None

    def _call_all(self) -> None:
        self._is_called = False  # first: who comes now is called anew rather than never
        for _ in range(len(self._calls)):
            self.loop.call_soon(self._calls.popleft())

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()
