"""dispatcher/loops.py: waiting, and being stopped while waiting."""

import asyncio

import pytest

from taskyard.dispatcher.loops import _wait
from taskyard.stopping import end


@pytest.mark.parametrize("steps", range(5))
async def test_a_stop_that_comes_together_with_a_signal_is_heard(steps: int) -> None:
    """asyncio.wait_for would swallow it at one of these steps, and the dispatcher never end."""
    signal = asyncio.Event()
    waiting = asyncio.create_task(_wait(signal, 5))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    signal.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    over = waiting.done()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert over or waiting.cancelled()


async def test_a_signal_ends_the_wait_and_is_taken_down() -> None:
    """So does the end of the time."""
    signal = asyncio.Event()
    signal.set()
    await _wait(signal, 60)
    assert not signal.is_set()
    await _wait(signal, 0.001)


async def test_a_stop_that_a_library_swallows_is_said_again() -> None:
    """So whoever ends a task need not fear what it waits for."""
    heard = 0

    async def loop() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                heard += 1
                if heard == 2:
                    raise

    looping = asyncio.create_task(loop())
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(looping)
    assert heard == 2
    assert looping.cancelled()


async def test_a_task_that_failed_is_ended_in_silence() -> None:
    """Its error was somebody else's to hear."""

    async def fail() -> None:
        raise ValueError("no")

    await end(asyncio.create_task(fail()))
    await end()
