"""API keys: made, shown once, recognised again.

The secret is 256 bits of chance, so it need not be stretched as a password must; the digest is
keyed, so that what is in the database alone recognises nobody.
"""

import hashlib
import hmac
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import timedelta

from taskyard.core import topics
from taskyard.core.errors import Fault, InvalidRequest, Unauthenticated
from taskyard.core.principal import TENANT, Principal, Scope, TenantId, scopes
from taskyard.storage import api_keys
from taskyard.storage.api_keys import ApiKey, NewKey, ValidKey
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

PREFIX_BYTES, SECRET_BYTES = 6, 32

_KEY = re.compile(rf"tk_([0-9a-f]{{{2 * PREFIX_BYTES}}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")
_BELIEVED_FOR = 2.0  # seconds until a revocation is noticed by every process
_MOST_BELIEVED = 10_000
_NO_SUCH_KEY = Unauthenticated("the API key is not valid: unknown, expired or revoked")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyWish:
    """What a new key is to be; `lives` None is for ever."""

    tenant: TenantId
    name: str
    scopes: frozenset[Scope]
    patterns: tuple[str, ...] = ("#",)
    lives: timedelta | None = None
    created_by: str


async def make_key(
    connection: AsyncConnection, wish: KeyWish, *, chance: bytes, pepper: bytes
) -> tuple[str, ApiKey]:
    """Store a key; return what the caller is to show, which nobody can tell again, and the rest.

    `chance` is PREFIX_BYTES and SECRET_BYTES of it. Raises InvalidRequest.
    """
    _check(wish)
    prefix, secret = chance[:PREFIX_BYTES].hex(), chance[PREFIX_BYTES:].hex()
    new = NewKey(
        prefix=prefix,
        tenant=wish.tenant,
        digest=_digest(secret, pepper),
        name=wish.name,
        scopes=sorted(wish.scopes),
        patterns=list(wish.patterns),
        created_by=wish.created_by,
        lives=None if wish.lives is None else wish.lives.total_seconds(),
    )
    return f"tk_{prefix}_{secret}", await api_keys.insert(connection, new)


def prefix_of(shown: str) -> str | None:
    """Return the public part of what has the form of a key, whether it is one or not."""
    return None if (parts := _KEY.fullmatch(shown)) is None else parts.group(1)


def _check(wish: KeyWish) -> None:
    faults = []
    if not TENANT.fullmatch(wish.tenant):
        problem = f"is {wish.tenant[:80]!r}; 1 to 63 small letters, digits, _ and -"
        faults.append(Fault("tenant", problem))
    if not wish.scopes:
        faults.append(Fault("scopes", f"are missing; there are {', '.join(Scope)}"))
    if not 1 <= len(wish.name) <= 200 or "\0" in wish.name:
        faults.append(Fault("name", "must have 1 to 200 characters"))
    faults += [
        Fault("types", f"{pattern[:80]!r} {wrong}")
        for pattern in wish.patterns
        if (wrong := topics.problem(pattern))
    ]
    if not wish.patterns:
        faults.append(Fault("types", "are missing; # stands for all"))
    if faults:
        raise InvalidRequest("the key cannot be made", faults=tuple(faults))


def _digest(secret: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, secret.encode(), hashlib.sha256)


@dataclass(frozen=True, slots=True)
class _Believed:
    key: ValidKey | None  # none: nobody has it
    until: float


class ApiKeys:
    """Recognises keys. What the database said is believed for two seconds."""

    def __init__(self, pool: Pool, *, pepper: bytes) -> None:
        self._pool = pool
        self._pepper = pepper
        self._believed: OrderedDict[str, _Believed] = OrderedDict()

    async def principal_of(self, token: str) -> Principal:
        """Return who shows a key. Raises Unauthenticated and StorageUnavailable."""
        if (parts := _KEY.fullmatch(token)) is None:
            raise Unauthenticated("that is no API key; they are written tk_<prefix>_<secret>")
        prefix, secret = parts.groups()
        if (principal := self._shown(prefix, secret, await self._find(prefix))) is None:
            raise _NO_SUCH_KEY
        return principal

    def known(self, token: str) -> Principal | None:
        """Return who shows a key, if that is believed at the moment without asking anybody."""
        if (parts := _KEY.fullmatch(token)) is None:
            return None
        prefix, secret = parts.groups()
        believed = self._believed.get(prefix)
        if believed is None or believed.until < time.monotonic():
            return None
        return self._shown(prefix, secret, believed)

    def _shown(self, prefix: str, secret: str, believed: _Believed) -> Principal | None:
        key, shown = believed.key, _digest(secret, self._pepper)
        # One who does not exist is held against something as well: it takes as long.
        if not hmac.compare_digest(shown, key.digest if key else bytes(len(shown))) or key is None:
            return None
        return _principal(prefix, key)

    async def _find(self, prefix: str) -> _Believed:
        believed = self._believed.get(prefix)
        if believed is None or believed.until < time.monotonic():
            believed = await self._look(prefix)
        return believed

    async def _look(self, prefix: str) -> _Believed:
        async with borrowed(self._pool) as connection:
            key = await api_keys.find(connection, prefix)
            if key is not None:
                await api_keys.touch(connection, prefix)
        left = _BELIEVED_FOR
        if key is not None and key.seconds_left is not None:
            left = min(left, key.seconds_left)
        believed = self._believed[prefix] = _Believed(key, time.monotonic() + left)
        self._believed.move_to_end(prefix)
        while len(self._believed) > _MOST_BELIEVED:
            self._believed.popitem(last=False)
        return believed


def _principal(prefix: str, key: ValidKey) -> Principal:
    return Principal(
        tenant=key.tenant,
        name=f"key:tk_{prefix}",
        scopes=scopes(key.scopes),
        patterns=tuple(key.patterns),
    )
