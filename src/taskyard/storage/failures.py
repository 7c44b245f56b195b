"""How the error of an attempt is stored: its code is plain, what it says is sealed.

Where the rest is sealed, a keyed digest of the message's shape stands beside the code: dead letters
that ended alike are grouped by it, though the database cannot read them.
"""

from typing import Any

import msgspec

from taskyard.core.sealed import Place
from taskyard.core.shapes import shape
from taskyard.core.task import Failure
from taskyard.storage.sealing import KeyRing

_SHAPE = "shape"


def sealed_failure(failure: Failure, place: Place, ring: KeyRing) -> str:
    """Return an error as JSON text."""
    told = {"message": failure.message, "traceback": failure.traceback}
    inside = _json({name: each for name, each in told.items() if each is not None})
    beside = {"code": failure.code}
    if ring.active is not None:
        beside[_SHAPE] = ring.digest(shape(failure.message), place)
    # Postgres refuses NUL in text; an error message may hold one.
    return ring.seal(inside.replace("\\u0000", "\\ufffd"), place, beside=_json(beside)[1:-1])


def told_failure(ring: KeyRing, stored: dict[str, Any], place: Place) -> dict[str, Any]:
    """Return a stored error, or one whose message says why it cannot be read."""
    told: dict[str, Any] = ring.told(stored, place)
    return {name: each for name, each in told.items() if name != _SHAPE}


def renewed_failure(ring: KeyRing, stored: str, place: Place) -> str:
    """Return a stored error as it is stored now. Raises EncryptionKeyMissing and SealBroken."""
    members = msgspec.json.decode(ring.plain(stored, place))
    members.pop(_SHAPE, None)
    return sealed_failure(Failure(**members), place, ring)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
