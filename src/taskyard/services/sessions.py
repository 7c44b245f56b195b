"""Sessions: begun by a login, recognised with each request, ended by whoever may.

A browser shows 256 bits of chance, which need not be stretched as a password must. Stored is their
SHA-256 alone: whoever reads the database can log in as nobody.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import assert_never

from uuid_utils.compat import uuid7

from taskyard.core.audit import Action
from taskyard.core.principal import Principal, scopes
from taskyard.core.session import ByIssuer, ByKey, SessionId, Way
from taskyard.services import audit
from taskyard.services.end_sessions import record_end
from taskyard.storage import sessions
from taskyard.storage.pool import AsyncConnection, Pool, borrowed
from taskyard.storage.sessions import EndedSession, NewSession, OpenSession

_BELIEVED_FOR = 2.0  # seconds until every process notices that a session was ended elsewhere
_MOST_BELIEVED = 10_000
_NOTED_EVERY = 60.0  # seconds in which its use is not noted anew


@dataclass(frozen=True, slots=True)
class _Believed:
    session: OpenSession | None  # none: it has ended
    until: float


class Sessions:
    """Knows who is logged in. What the database said is believed for two seconds.

    `issuers` are those at which people log in: sessions begun at others are ended. `clock` is
    monotonic, in seconds.
    """

    def __init__(self, pool: Pool, *, issuers: Collection[str], clock: Callable[[], float]) -> None:
        self._pool = pool
        self._issuers = frozenset(issuers)
        self._clock = clock
        self._believed: OrderedDict[bytes, _Believed] = OrderedDict()

    async def begin(
        self, principal: Principal, way: Way, secret: str, *, instead_of: str | None = None
    ) -> None:
        """Let whoever shows a new secret be somebody; what the browser had before is ended.

        Raises StorageUnavailable.
        """
        session_id = SessionId(uuid7())
        async with borrowed(self._pool) as connection, connection.transaction():
            former = await self._end(connection, instead_of) if instead_of else None
            await sessions.begin(connection, _new(session_id, principal, way, secret))
            if former is not None:
                await record_end(connection, former, actor=former.principal, because="login")
            detail = {"by": "key"} if isinstance(way, ByKey) else {"by": way.issuer}
            await audit.record_as(
                connection, Action.SESSION_BEGUN, f"session:{session_id}", detail,
                tenant=principal.tenant, actor=principal.name,
            )  # fmt: skip

    async def find(self, secret: str) -> Principal | None:
        """Return who is logged in, if anybody is. Raises StorageUnavailable."""
        digest = _digest(secret)
        believed = self._believed.get(digest)
        if believed is None or believed.until < self._clock():
            believed = await self._look(digest)
        return None if believed.session is None else _principal(believed.session)

    async def end(self, secret: str) -> None:
        """Log out: nobody is let in with this secret again. Raises StorageUnavailable."""
        async with borrowed(self._pool) as connection, connection.transaction():
            if (ended := await self._end(connection, secret)) is not None:
                await record_end(connection, ended, actor=ended.principal, because="logout")

    async def _end(self, connection: AsyncConnection, secret: str) -> EndedSession | None:
        self._believed.pop(digest := _digest(secret), None)
        return await sessions.end(connection, digest)

    async def _look(self, digest: bytes) -> _Believed:
        async with borrowed(self._pool) as connection:
            found = await sessions.find(connection, digest)
            if found is not None and not self._is_of_here(found):
                await _end_for_good(connection, digest)
                found = None
            if found is not None and found.unseen >= _NOTED_EVERY:
                await sessions.touch(connection, digest)
        left = _BELIEVED_FOR if found is None else min(_BELIEVED_FOR, found.seconds_left)
        believed = self._believed[digest] = _Believed(found, self._clock() + left)
        self._believed.move_to_end(digest)
        while len(self._believed) > _MOST_BELIEVED:
            self._believed.popitem(last=False)
        return believed

    def _is_of_here(self, session: OpenSession) -> bool:
        return session.issuer is None or session.issuer in self._issuers


async def _end_for_good(connection: AsyncConnection, digest: bytes) -> None:
    # Not only while the issuer is gone: it must not come back to life with it.
    async with connection.transaction():
        if (ended := await sessions.end(connection, digest)) is not None:
            await record_end(connection, ended, actor="taskyard", because="issuer removed")


def _new(session_id: SessionId, principal: Principal, way: Way, secret: str) -> NewSession:
    key = issuer = None
    match way:
        case ByKey(prefix):
            key = prefix
        case ByIssuer(name):
            issuer = name
        case _:
            assert_never(way)
    return NewSession(
        digest=_digest(secret),
        id=session_id,
        tenant=principal.tenant,
        principal=principal.name,
        scopes=sorted(principal.scopes),
        patterns=list(principal.patterns),
        key=key,
        issuer=issuer,
    )


def _principal(session: OpenSession) -> Principal:
    return Principal(
        tenant=session.tenant,
        name=session.principal,
        scopes=scopes(session.scopes),
        patterns=tuple(session.patterns),
    )


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
