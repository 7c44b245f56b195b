"""What an `async def` task returns, in a pool of coroutines and in others."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import psycopg

from taskyard import tracing
from taskyard.worker.asyncio_attempt import attempt_here, stoppable, wait
from taskyard.worker.current import Running
from taskyard.worker.outcome import ResultUnusable, encode


def result_of(coroutine: Coroutine[Any, Any, Any], it: Running) -> tuple[bool | None, Any]:
    """Await task code on the loop of the worker, or on one of its own where there is none.

    Returns its result, or whether it was stored, when it began a finishing transaction there.
    """
    awaited = _awaited(coroutine, it)
    return asyncio.run(awaited) if attempt_here() is None else wait(awaited)


async def _awaited(coroutine: Coroutine[Any, Any, Any], it: Running) -> tuple[bool | None, Any]:
    """Await an async task; finish it here, in its loop, if it began a transaction here."""
    try:
        result = await stoppable(coroutine, within=it.lease.seconds_left)
        if not it.effects.are_async:
            return None, result
        it.spoken.write()  # with the lease, which ends here
        with tracing.span("finish"):
            return await _committed_async(it, encode(result)), None
    finally:
        await it.effects.undo_async()


async def _committed_async(it: Running, result: str) -> bool:
    try:
        return await it.effects.finish_async(result)
    except psycopg.DataError as error:
        raise unusable(error) from None


def unusable(error: psycopg.DataError) -> ResultUnusable:
    """Return what an error of Postgres over a result is called."""
    return ResultUnusable(f"Postgres cannot store the result: {error}")
