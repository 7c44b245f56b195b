"""Connections to Postgres: a pool for the async side, one connection for a worker process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import msgspec
import psycopg
from psycopg import sql
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from taskyard.core import topics
from taskyard.core.certificates import advice
from taskyard.core.errors import StorageUnavailable
from taskyard.core.principal import Owner
from taskyard.storage.sealing import NO_KEYS, KeyRing

# Every statement is its own transaction unless a caller opens one. The settings hold whatever the
# server's defaults are: a 202 means durable (C1), and times are shown in UTC. With a million tasks
# waiting Postgres believes that statements are dear enough to be compiled, and takes 0.2 s and more
# for what takes 2 ms (measured): all of ours are short.
STATEMENT_SECONDS, LOCK_SECONDS, POOL_SECONDS = 25, 10, 5
# A statement that is given up is cancelled in the server first. psycopg tries that for 5 s, then
# waits 5 s for the statement's end, and then closes the connection.
GIVING_UP_SECONDS = 10
_OPTIONS = (
    "-c synchronous_commit=on -c timezone=UTC -c jit=off"
    f" -c statement_timeout={STATEMENT_SECONDS}s -c lock_timeout={LOCK_SECONDS}s"
)

# A peer that has gone without a word is noticed within half a minute, not within hours.
_KEEPALIVE: dict[str, Any] = {
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


class AsyncConnection(psycopg.AsyncConnection[Any]):
    """A connection, and the keys with which values are closed and opened over it.

    While it is borrowed on somebody's behalf, `owner` says whose rows it sees, and `actor` who
    asks, as the audit log names them.
    """

    owner: Owner | None = None
    actor: str | None = None
    ring: KeyRing = NO_KEYS

    @classmethod
    async def connect(cls, *args: Any, **kwargs: Any) -> Self:
        """Connect. Raises OperationalError, which says what to do when TLS is in the way."""
        try:
            return await super().connect(*args, **kwargs)
        except psycopg.OperationalError as error:
            raise _explained(error) from None


class Connection(psycopg.Connection[Any]):
    """A blocking connection, and the keys with which values are closed and opened over it."""

    ring: KeyRing = NO_KEYS


Cursor = psycopg.Cursor[Any]


def ring_of(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> KeyRing:
    """Return the key ring of a cursor's connection; that of others has no keys."""
    connection = cursor.connection
    return connection.ring if isinstance(connection, Connection | AsyncConnection) else NO_KEYS


Pool = AsyncConnectionPool[AsyncConnection]

# The second wall (migration 0015): the role may touch the rows of one tenant, named for as long as
# the transaction lasts. One message to the server for all three.
_ON_BEHALF = sql.SQL("BEGIN; SET LOCAL ROLE taskyard_tenant; SET LOCAL taskyard.tenant = {}")


@dataclass(frozen=True, slots=True)
class OwnPool:
    """A pool on somebody's behalf: what is borrowed from it sees the rows of one owner."""

    pool: Pool
    owner: Owner
    actor: str = "taskyard"


set_json_loads(msgspec.json.decode)


def _explained(error: psycopg.OperationalError) -> psycopg.OperationalError:
    said = str(error).strip()
    hint = advice(said, server="Postgres", ca="TASKYARD_DATABASE_TLS_CA")
    return type(error)(f"{said}: {hint}") if hint else error


@asynccontextmanager
async def open_pool(
    url: str, *, name: str, size: int, ring: KeyRing = NO_KEYS
) -> AsyncIterator[Pool]:
    """Open a pool of up to `size` connections. It opens without the server and heals by itself."""

    async def configure(connection: AsyncConnection) -> None:
        connection.ring = ring

    pool: Pool = AsyncConnectionPool(
        url,
        connection_class=AsyncConnection,
        configure=configure,
        name=name,
        min_size=1,
        max_size=size,
        timeout=POOL_SECONDS,
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
async def borrowed(pool: Pool | OwnPool) -> AsyncIterator[AsyncConnection]:
    """Borrow a connection. Raises StorageUnavailable when it cannot be had or is lost.

    On somebody's behalf it is one transaction, undone when an exception leaves it.
    """
    if isinstance(pool, OwnPool):
        async with borrowed(pool.pool) as connection, _owned(connection, pool):
            yield connection
        return
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


@asynccontextmanager
async def _owned(connection: AsyncConnection, own: OwnPool) -> AsyncIterator[None]:
    await connection.execute(_ON_BEHALF.format(own.owner.tenant))
    connection.owner, connection.actor = own.owner, own.actor
    try:
        yield
        await connection.commit()
    except BaseException:
        if not connection.broken:
            await connection.rollback()
        raise
    finally:
        connection.owner = connection.actor = None


def owned_by(connection: AsyncConnection) -> dict[str, Any]:
    """Return the parameters `tenant` and `types` of statements on the rows of one owner.

    `types` is a regular expression on a type with a dot behind it, or None. Raises LookupError on a
    connection that sees everybody's rows.
    """
    if (owner := connection.owner) is None:
        raise LookupError("the connection is on nobody's behalf")
    return {"tenant": owner.tenant, "types": types_of(owner)}


def types_of(owner: Owner) -> str | None:
    """Return the regular expression on an owner's types, each with a dot behind it, if limited."""
    return None if owner.patterns is None else "|".join(map(topics.as_regex, owner.patterns))


async def connect(url: str, *, name: str, ring: KeyRing = NO_KEYS) -> AsyncConnection:
    """Open one async connection, for listening or for administration."""
    connection = await AsyncConnection.connect(
        url, autocommit=True, options=_OPTIONS, application_name=f"taskyard {name}", **_KEEPALIVE
    )
    connection.ring = ring
    return connection


def connect_sync(
    url: str, *, name: str, ring: KeyRing = NO_KEYS, plans: str = "auto"
) -> Connection:
    """Open one blocking connection, as a worker process or thread needs.

    `plans` is Postgres's plan_cache_mode.
    """
    try:
        connection = Connection.connect(
            url,
            autocommit=True,
            options=f"{_OPTIONS} -c plan_cache_mode={plans}",
            application_name=f"taskyard {name}",
            **_KEEPALIVE,
        )
    except psycopg.OperationalError as error:
        raise _explained(error) from None
    connection.ring = ring
    return connection
