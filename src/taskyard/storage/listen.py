"""LISTEN on a connection that comes back by itself."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple

import psycopg
import structlog
from psycopg import sql

from taskyard.storage.pool import Connection, connect, connect_sync

log = structlog.get_logger(__name__)

DISPATCH = "taskyard_dispatch"  # something to publish, or a new date to wait for
TASK_TYPES = "taskyard_task_types"  # a worker announced task types
STOP = "taskyard_stop"  # a running task was cancelled; the payload is its id
ENDED = "taskyard_ended"  # a watched task has ended; the payload is its id
LIMITS = "taskyard_limits"  # an attempt that held permits has ended
TOPOLOGY = "taskyard_topology"  # a pool may have another queue

_RECONNECT_AFTER = 1.0
_TURN = 1.0  # seconds between looks at whether a blocking listener should end


class Heard(NamedTuple):
    """A notification; `payload` is empty when the connection is new and any may have been lost."""

    channel: str
    payload: str


async def listen(url: str, *channels: str, name: str) -> AsyncIterator[Heard]:
    """Yield each notification.

    Every channel is yielded once after each (re)connect too, without a payload: what was notified
    while the connection was away is lost, so the listener must look for itself.
    """
    while True:
        try:
            connection = await connect(url, name=name)
            async with connection:
                for channel in channels:
                    await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                for channel in channels:
                    yield Heard(channel, "")
                async for notification in connection.notifies():
                    yield Heard(notification.channel, notification.payload)
        except psycopg.OperationalError as error:
            log.warning("listening connection lost", error=str(error).strip())
        await asyncio.sleep(_RECONNECT_AFTER)


def listen_blocking(
    url: str, channel: str, *, name: str, ended: threading.Event
) -> Iterator[Connection]:
    """Yield a connection to look with after each notification; for a thread of its own.

    As with `listen`, it is yielded once after each (re)connect too. Returns within a second of
    `ended`.
    """
    while not ended.is_set():
        try:
            with connect_sync(url, name=name) as connection:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                yield connection
                while not ended.is_set():
                    # The connection is not free for a look before its generator has ended.
                    if list(connection.notifies(timeout=_TURN, stop_after=1)):
                        yield connection
        except psycopg.OperationalError as error:
            log.warning("listening connection lost", error=str(error).strip())
        ended.wait(_RECONNECT_AFTER)
