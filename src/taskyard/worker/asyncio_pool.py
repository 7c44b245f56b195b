"""Celery's pool for `execution = "asyncio"`: one event loop runs all tasks of a worker.

Celery's main thread reads messages, hands them to the loop, and is handed back how they ended: it
alone touches the broker's connection. A task that is a plain function runs in a thread, as in a
pool of threads.
"""

import contextlib
import inspect
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from celery.concurrency.base import BasePool

from taskyard.worker import asyncio_stacks
from taskyard.worker.asyncio_loop import LoopThread
from taskyard.worker.asyncio_turn import Told, Turn

log = structlog.get_logger(__name__)

THREADS_AT_MOST = 32  # for tasks that are plain functions
_LOOK_EVERY = 0.5  # seconds between looks at what is over its hard limit
_ENDS_WITHIN = 5.0  # seconds that a cancelled coroutine may take to clean up


class LoopPool(BasePool):
    """Runs coroutines on a loop of its own thread, and plain functions in threads."""

    body_can_be_buffer = True
    signal_safe = False
    task_join_will_block = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._loop = LoopThread()
        self._threads = ThreadPoolExecutor(min(self.limit, THREADS_AT_MOST), "task")
        self._running: set[Turn] = set()
        self._waiting: deque[Turn] = deque()
        self._ended: deque[tuple[Turn, Callable[[], None]]] = deque()
        self._is_waking = False
        self._awake, self._wakes = socket.socketpair()
        self._awake.setblocking(False)
        self._wakes.setblocking(False)

    def on_start(self) -> None:
        """Start the loop."""
        asyncio_stacks.install(self.app.tasks.values())
        self._loop.start()
        self.app.taskyard.loop = self._loop

    def register_with_event_loop(self, hub: Any) -> None:
        """Hear on Celery's own loop what has ended, and look after what should have."""
        hub.add_reader(self._awake.fileno(), self._hear)
        hub.call_repeatedly(_LOOK_EVERY, self._look)

    def on_apply(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Turn:
        """Begin a task, or let it wait for a slot."""
        told = Told(
            accepted=options["accept_callback"],
            succeeded=options["callback"],
            failed=options["error_callback"],
            timed_out=options["timeout_callback"],
        )
        turn = Turn(
            partial(target, *args, **(kwargs or {})),
            told,
            loop=self._loop,
            limits=(options.get("soft_timeout"), options.get("timeout")),
            is_plain=not is_coroutine_task(self.app.tasks[args[0]]),
            on_end=self._end,
        )
        self._waiting.append(turn)
        self._begin_waiting()
        return turn

    def on_stop(self) -> None:
        """Begin nothing more, and wait until all that runs has ended; a drain bounds it."""
        self._waiting.clear()  # not acknowledged: the broker gives it to another worker
        while self._running:
            select.select([self._awake], [], [], _LOOK_EVERY)
            self._hear()
            self._look()
        self._close()

    def on_terminate(self) -> None:
        """Leave everything: what runs was not acknowledged, and its lease runs out."""
        self._close()

    def _close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._loop.end()

    def _begin_waiting(self) -> None:
        while self._waiting and len(self._running) < self.limit:
            turn = self._waiting.popleft()
            self._running.add(turn)
            turn.told.accepted(os.getpid(), time.monotonic())
            if turn.is_plain:
                self._threads.submit(turn.call)
            else:
                turn.begin()

    def _end(self, turn: Turn, tell: Callable[[], None]) -> None:
        """Hand back how a turn ended: from the loop, or from a thread."""
        self._ended.append((turn, tell))
        if not self._is_waking:
            self._is_waking = True
            with contextlib.suppress(BlockingIOError):  # then it is awake already
                self._wakes.send(b"\0")

    def _hear(self, *_: Any) -> None:
        with contextlib.suppress(BlockingIOError):
            self._awake.recv(4096)
        self._is_waking = False  # before looking: who ends now wakes anew
        while self._ended:
            turn, tell = self._ended.popleft()
            self._conclude(turn, tell)
        self._begin_waiting()

    def _conclude(self, turn: Turn, tell: Callable[[], None]) -> None:
        if turn not in self._running:
            return  # it was given up before
        self._running.discard(turn)
        try:
            tell()
        except Exception:
            log.exception("the end of a task was not taken in")

    def _look(self) -> None:
        """Give up what is over its hard limit, and what does not heed its cancellation."""
        self._loop.look()
        now = time.monotonic()
        for turn in list(self._running):
            limit = turn.hard_limit
            if limit is not None and now - turn.began_at > limit:
                self._conclude(turn, partial(turn.told.timed_out, False, limit))
                turn.kill()
            elif now - turn.killed_at > _ENDS_WITHIN:
                log.error("a cancelled task goes on, and is given up")
                self._conclude(turn, partial(turn.told.succeeded, (0, "None", 0.0)))
        self._begin_waiting()


def is_coroutine_task(task: Any) -> bool:
    """Whether the function of a task is `async def`."""
    return inspect.iscoroutinefunction(getattr(task, "_orig_run", task.run))
