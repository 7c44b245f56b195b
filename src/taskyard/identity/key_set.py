"""The keys of an issuer, out of its JWK Set (RFC 7517), and only those that verify."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import JWKRegistry, Key

from taskyard.core.issuer import Family

_MOST_KEYS = 100
_SIGNING_CURVES = ("Ed25519", "Ed448", "P-256", "P-384", "P-521")


class NotAKeySet(Exception):
    """What was read holds no key that could verify anything. The message says why, in words."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """Public keys by their id; those without one are `nameless`."""

    named: Mapping[str, Key] = field(default_factory=dict)
    nameless: tuple[Key, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.named or self.nameless)

    def key(self, key_id: str | None) -> Key | None:
        """Return the key with an id. A token that names none can only mean the only one."""
        if key_id is not None:
            return self.named.get(key_id)
        all_of_them = (*self.named.values(), *self.nameless)
        return all_of_them[0] if len(all_of_them) == 1 else None


def read_key_set(document: Any, family: Family) -> KeySet:
    """Return the keys of a family that may verify signatures. Raises NotAKeySet.

    Others are passed over: a set may hold keys for other purposes (RFC 7517, section 5).
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise NotAKeySet(f"has no list `keys` of at most {_MOST_KEYS}")
    keys = [key for entry in entries if (key := _verifier(entry, family)) is not None]
    if not keys:
        raise NotAKeySet(f"has no {family.key_type} key that verifies {family} signatures")
    named = {key.kid: key for key in keys if key.kid is not None}
    return KeySet(named, tuple(key for key in keys if key.kid is None))


def _verifier(entry: Any, family: Family) -> Key | None:
    """Return a key, or None for one of another kind or use, a weak one or a broken one."""
    if not isinstance(entry, dict) or entry.get("kty") != family.key_type:
        return None
    try:
        if not _is_for_verifying(entry, family):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("error", SecurityWarning)  # RSA below 2,048 bits
            return JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, SecurityWarning):
        return None


def _is_for_verifying(entry: dict[str, Any], family: Family) -> bool:
    return (
        entry.get("use", "sig") == "sig"
        and "verify" in entry.get("key_ops", ("verify",))
        and entry.get("crv", "P-256") in _SIGNING_CURVES
        and entry.get("alg", family.algorithms[0]) in family.algorithms
    )
