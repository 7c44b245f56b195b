"""How a process of any role runs: its signals, its garbage, what goes on beside."""

import asyncio
import contextlib
import gc
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

from taskyard.stopping import end

log = structlog.get_logger(__name__)


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, then let it clean up."""

    async def supervised() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(supervised())


def settle() -> None:
    """Spare what was loaded from every later garbage collection, and collect less often.

    A role lives long after it has loaded its code, and each request or task leaves few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], *, name: str) -> AsyncIterator[None]:
    """Run something beside the body, and end it with the body."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(lambda done: _say_fault(done, name))
    try:
        yield
    finally:
        await end(task)


def _say_fault(done: "asyncio.Future[None]", name: str) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("background work failed", work=name, exc_info=error)
