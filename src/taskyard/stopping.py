"""Ending asyncio tasks that run beside."""

import asyncio
from typing import Any

_AGAIN_AFTER = 0.5


async def end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel tasks and return once they have ended, however they did.

    Who goes on is cancelled again: before Python 3.12 asyncio.wait_for swallows a cancellation that
    comes together with what it waits for (bpo-37658), and libraries below us use it.
    """
    going_on = {task for task in tasks if not task.done()}
    while going_on:
        for task in going_on:
            task.cancel()
        _, going_on = await asyncio.wait(going_on, timeout=_AGAIN_AFTER)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # it is the owner's to ask; nobody else may be left to
