"""Retain: keep what has ended for the retention of its type, then remove it with its history.

Idempotency keys are kept longer than their tasks, events have a retention of their own; the same
sweep removes both.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from taskyard.core.events import EventKey
from taskyard.core.retention import first_id_at, shortest
from taskyard.core.routing import RoutingTable
from taskyard.core.task import TaskId
from taskyard.storage import idempotency, inbox, retention, sessions
from taskyard.storage.pool import Pool, borrowed
from taskyard.storage.retention import Kept

log = structlog.get_logger(__name__)

_ROWS_AT_ONCE = 500
_SHORTEST_REST = 5.0
_LONGEST_REST = 3600.0
_SHARE = 20  # a sweep that took a second is followed by twenty of rest


async def retain(pool: Pool, table: RoutingTable, *, now: datetime) -> int:
    """Remove every ended task whose retention is over; return how many.

    `now` only bounds where to look; what is over is decided on the database's clock. Any number
    may sweep at once: none waits for another, and each task is removed by one of them.
    """
    removed = 0
    async for kept in _oldest_first(pool, before=first_id_at(now - shortest(table))):
        if due := _due(kept, table):
            async with borrowed(pool) as connection:
                removed += await retention.remove(connection, due)
    if removed:
        log.info("ended tasks removed", count=removed)
    return removed


async def forget_keys(pool: Pool) -> int:
    """Forget the idempotency keys that have expired; return how many."""
    forgotten = 0
    while True:
        began = time.monotonic()
        async with borrowed(pool) as connection:
            count = await idempotency.forget_expired(connection, _ROWS_AT_ONCE)
        forgotten += count
        if count < _ROWS_AT_ONCE:
            return forgotten
        await asyncio.sleep(time.monotonic() - began)


async def forget_sessions(pool: Pool) -> int:
    """Remove the sessions of browsers that are over; return how many."""
    forgotten, count = 0, _ROWS_AT_ONCE
    while count == _ROWS_AT_ONCE:
        async with borrowed(pool) as connection:
            count = await sessions.forget(connection, _ROWS_AT_ONCE)
        forgotten += count
    return forgotten


async def forget_events(pool: Pool, table: RoutingTable, *, now: datetime) -> int:
    """Remove the events, parked ones too, whose retention is over; return how many."""
    until, removed = EventKey(first_id_at(now - table.events.retention)), 0
    for sweep in (inbox.sweep, inbox.sweep_parked):
        count = _ROWS_AT_ONCE
        while count == _ROWS_AT_ONCE:
            began = time.monotonic()
            async with borrowed(pool) as connection:
                count = await sweep(connection, until=until, limit=_ROWS_AT_ONCE)
            removed += count
            await asyncio.sleep(time.monotonic() - began)
    return removed


def rest_after(seconds: float) -> float:
    """Return how long to rest after a sweep of so many seconds: the longer it took, the longer."""
    return min(max(seconds * _SHARE, _SHORTEST_REST), _LONGEST_REST)


def _due(kept: Sequence[Kept], table: RoutingTable) -> dict[TaskId, timedelta]:
    retentions = {each.type: table.defaults_for(each.type).retention for each in kept}
    return {
        each.id: retentions[each.type]
        for each in kept
        if each.ended_for is not None and each.ended_for >= retentions[each.type].total_seconds()
    }


async def _oldest_first(pool: Pool, *, before: TaskId) -> AsyncIterator[list[Kept]]:
    """Walk the primary key, which is in the order of time, some rows at once.

    Between two steps it pauses for as long as the last one took: a busy database is swept slowly.
    """
    after = TaskId(UUID(int=0))
    while True:
        began = time.monotonic()
        async with borrowed(pool) as connection:
            kept = await retention.look(connection, after=after, before=before, limit=_ROWS_AT_ONCE)
        yield kept
        if len(kept) < _ROWS_AT_ONCE:
            return
        after = kept[-1].id
        await asyncio.sleep(time.monotonic() - began)
