"""LISTEN on a connection that comes back by itself."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import structlog
from psycopg import sql

from taskyard.storage.pool import connect

log = structlog.get_logger(__name__)

DISPATCH = "taskyard_dispatch"  # something to publish, or a new date to wait for
TASK_TYPES = "taskyard_task_types"  # a worker announced task types
STOP = "taskyard_stop"  # a running task was cancelled; the payload is its id

_RECONNECT_AFTER = 1.0


async def listen(url: str, *channels: str, name: str) -> AsyncIterator[str]:
    """Yield the channel of each notification.

    Every channel is yielded once after each (re)connect too: what was notified while the
    connection was away is lost, so the listener must look for itself.
    """
    while True:
        try:
            connection = await connect(url, name=name)
            async with connection:
                for channel in channels:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                for channel in channels:
                    yield channel
                async for notification in connection.notifies():
                    yield notification.channel
        except psycopg.OperationalError as error:
            log.warning("listening connection lost", error=str(error).strip())
        await asyncio.sleep(_RECONNECT_AFTER)
