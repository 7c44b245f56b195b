"""An attempt on an event loop: blocking code that waits, and task code that is stopped."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded

from taskyard.worker.asyncio_attempt import (
    Attempt,
    Cancelled,
    CancelledItself,
    SoftLimit,
    attempt_here,
    stoppable,
    wait,
)
from taskyard.worker.outcome import Interrupted


async def run(call: Callable[[], Any], *, at: asyncio.Event, why: BaseException) -> None:
    """Run an attempt, and stop it once it has come so far."""
    attempt = Attempt(call)
    running = asyncio.create_task(_awaiting(attempt))
    await at.wait()
    attempt.stop(why)
    await running


async def _awaiting(attempt: Awaitable[None]) -> None:
    await attempt


async def test_blocking_code_gives_the_loop_away_while_it_waits() -> None:
    """Two that wait for each other both end, and each stays itself."""
    first, second, said = asyncio.Event(), asyncio.Event(), []

    def meet(mine: asyncio.Event, other: asyncio.Event) -> None:
        before = attempt_here()
        mine.set()
        wait(other.wait())
        said.append(before is attempt_here() is not None)

    async with asyncio.timeout(5):
        await asyncio.gather(
            _awaiting(Attempt(lambda: meet(first, second))),
            _awaiting(Attempt(lambda: meet(second, first))),
        )
    assert said == [True, True]
    assert attempt_here() is None


async def test_what_stops_task_code_is_raised_through_its_groups_and_timeouts() -> None:
    """They clean up as for any cancellation, and the code learns why."""
    at, ends, seen = asyncio.Event(), [], []

    async def child() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ends.append("child")

    async def code() -> None:
        try:
            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                group.create_task(child())
                asyncio.get_running_loop().call_soon(at.set)
        except SoftTimeLimitExceeded as limit:
            ends.append(type(limit).__name__)
        with pytest.raises(TimeoutError):  # its own timeouts still are what they were
            async with asyncio.timeout(0.01):
                await asyncio.sleep(60)
        ends.append("cleaned up")

    await run(lambda: seen.append(wait(stoppable(code(), within=None))), at=at, why=SoftLimit(1))
    assert ends == ["child", "SoftLimit", "cleaned up"]
    assert seen == [None]


async def test_what_surrounds_task_code_is_never_broken_off() -> None:
    """A claim that is under way ends; the code behind it does not begin."""
    at, go, seen = asyncio.Event(), asyncio.Event(), []

    async def code() -> None:
        seen.append("began")

    def call() -> None:
        at.set()
        asyncio.get_running_loop().call_later(0.01, go.set)
        wait(go.wait())
        seen.append("claimed")
        with pytest.raises(Interrupted):
            wait(stoppable(code(), within=None))

    await run(call, at=at, why=Cancelled("the task was cancelled"))
    assert seen == ["claimed"]


async def test_a_deadline_stops_task_code() -> None:
    """By itself."""

    def call() -> None:
        with pytest.raises(SoftTimeLimitExceeded):
            wait(stoppable(asyncio.sleep(60), within=0.01))

    await Attempt(call)


async def test_who_cancels_itself_is_told_from_who_was_stopped() -> None:
    """Such a coroutine has failed: nobody asked it to end."""

    async def code() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(60)

    def call() -> None:
        with pytest.raises(CancelledItself):
            wait(stoppable(code(), within=None))

    await Attempt(call)


async def test_what_the_tracer_raises_reaches_who_awaits_it() -> None:
    """As from any coroutine."""

    def call() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        await Attempt(call)
