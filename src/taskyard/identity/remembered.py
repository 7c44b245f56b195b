"""Tokens that were verified before: a client shows the same one with every request."""

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256

from taskyard.core.principal import Principal
from taskyard.identity.key_ring import KeyRing
from taskyard.identity.key_set import KeySet

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    until: float
    ring: KeyRing
    keys: KeySet


class Remembered:
    """Who was behind a token, until it expires or the keys of its issuer are read anew."""

    def __init__(self) -> None:
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    def find(self, token: str, *, now: float) -> Principal | None:
        """Return who is behind a token, if that was found out and still holds."""
        found = self._verified.get(digest := _digest(token))
        if found is None:
            return None
        if now >= found.until or found.ring.keys is not found.keys:
            del self._verified[digest]
            return None
        self._verified.move_to_end(digest)
        return found.principal

    def keep(self, token: str, principal: Principal, *, until: float, ring: KeyRing) -> None:
        """Remember a token that has just been verified; the one used longest ago is forgotten."""
        self._verified[_digest(token)] = _Verified(principal, until, ring, ring.keys)
        if len(self._verified) > _MOST:
            self._verified.popitem(last=False)


def _digest(token: str) -> bytes:
    # What is kept in memory is no token that anybody could show.
    return sha256(token.encode(errors="surrogatepass")).digest()
