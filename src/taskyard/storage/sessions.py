"""Sessions of browsers, without what the browsers show."""

from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.core.session import IDLE, LONGEST, MOST, SessionId, Whose
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("sessions")
_IDLE, _LONGEST = IDLE.total_seconds(), LONGEST.total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSession:
    """A session to be stored; it is by `key` or by `issuer`."""

    digest: bytes
    id: SessionId
    tenant: TenantId
    principal: str
    scopes: list[str]
    patterns: list[str]
    key: str | None
    issuer: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Who is logged in, for how many seconds at most, and for how many nobody noted its use."""

    id: SessionId
    tenant: TenantId
    principal: str
    scopes: list[str]
    patterns: list[str]
    issuer: str | None
    unseen: float
    seconds_left: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """An open session as people see it; `ends_at` is when it ends if nobody comes back."""

    id: SessionId
    tenant: TenantId
    principal: str
    key: str | None
    issuer: str | None
    scopes: list[str]
    patterns: list[str]
    began_at: datetime
    seen_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedSession:
    """A session that was ended now."""

    id: SessionId
    tenant: TenantId
    principal: str


async def begin(connection: AsyncConnection, new: NewSession) -> None:
    """Store a session; the oldest of the same principal make room."""
    await connection.execute(_SQL["begin_session"], asdict(new) | {"longest": _LONGEST})
    given = {"tenant": new.tenant, "principal": new.principal, "most": MOST}
    await connection.execute(_SQL["crowd_out"], given)


async def find(connection: AsyncConnection, digest: bytes) -> OpenSession | None:
    """Return the session of a digest if it is open now."""
    async with connection.cursor(row_factory=class_row(OpenSession)) as cursor:
        await cursor.execute(_SQL["find_session"], {"digest": digest, "idle": _IDLE})
        return await cursor.fetchone()


async def touch(connection: AsyncConnection, digest: bytes) -> None:
    """Note that a session was used."""
    await connection.execute(_SQL["touch_session"], {"digest": digest})


async def page(
    connection: AsyncConnection, whose: Whose, *, before: SessionId | None = None, limit: int
) -> list[SessionStatus]:
    """Return up to `limit` open sessions of a tenant or principal, newest first."""
    given = {"tenant": whose.tenant, "principal": whose.principal, "before": before}
    async with connection.cursor(row_factory=class_row(SessionStatus)) as cursor:
        await cursor.execute(_SQL["list_sessions"], given | {"limit": limit, "idle": _IDLE})
        return await cursor.fetchall()


async def end(connection: AsyncConnection, digest: bytes) -> EndedSession | None:
    """End the session of a digest; return it, or None if there is none."""
    async with connection.cursor(row_factory=class_row(EndedSession)) as cursor:
        await cursor.execute(_SQL["end_session"], {"digest": digest})
        return await cursor.fetchone()


async def end_all(connection: AsyncConnection, whose: Whose) -> list[EndedSession]:
    """End the sessions that are meant; return them."""
    async with connection.cursor(row_factory=class_row(EndedSession)) as cursor:
        await cursor.execute(_SQL["end_sessions"], asdict(whose))
        return await cursor.fetchall()


async def forget(connection: AsyncConnection, limit: int) -> int:
    """Remove up to `limit` sessions that are over; return how many."""
    cursor = await connection.execute(_SQL["forget_sessions"], {"limit": limit, "idle": _IDLE})
    return cursor.rowcount
