"""Connections to Postgres: a pool for the async side, one connection for a worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from taskyard.core.errors import StorageUnavailable

# Every statement is its own transaction unless a caller opens one. The settings hold whatever the
# server's defaults are: a 202 means durable (C1), and times are shown in UTC.
_OPTIONS = "-c synchronous_commit=on -c timezone=UTC -c statement_timeout=30s -c lock_timeout=10s"

# A peer that has gone without a word is noticed within half a minute, not within hours.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

AsyncConnection = psycopg.AsyncConnection[Any]
Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[Any]
Pool = AsyncConnectionPool[AsyncConnection]

set_json_loads(msgspec.json.decode)


@asynccontextmanager
async def open_pool(url: str, *, name: str, size: int) -> AsyncIterator[Pool]:
    """Open a pool of up to `size` connections. It opens without the server and heals by itself."""
    pool: Pool = AsyncConnectionPool(
        url,
        name=name,
        min_size=1,
        max_size=size,
        timeout=5.0,
        max_waiting=10_000,
        kwargs={
            "autocommit": True,
            "options": _OPTIONS,
            "application_name": f"taskyard {name}",
            **_KEEPALIVE,
        },
        open=False,
    )
    async with pool:
        yield pool


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[AsyncConnection]:
    """Borrow a connection. Raises StorageUnavailable when it cannot be had or is lost."""
    try:
        connection = await pool.getconn()
    except (PoolTimeout, psycopg.OperationalError) as error:
        raise StorageUnavailable("the database does not answer; try again in a moment") from error
    try:
        yield connection
    except psycopg.OperationalError as error:
        raise StorageUnavailable("the database did not finish; try again in a moment") from error
    finally:
        await pool.putconn(connection)


async def connect(url: str, *, name: str) -> AsyncConnection:
    """Open one async connection, for listening or for administration."""
    return await psycopg.AsyncConnection.connect(
        url, autocommit=True, options=_OPTIONS, application_name=f"taskyard {name}", **_KEEPALIVE
    )


def connect_sync(url: str, *, name: str) -> Connection:
    """Open one blocking connection, as a worker process or thread needs."""
    return psycopg.connect(
        url, autocommit=True, options=_OPTIONS, application_name=f"taskyard {name}", **_KEEPALIVE
    )
