"""Seal: how secrets that must be read again are kept in the database."""

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

SECRET_PREFIX = "whsec_"  # noqa: S105 -- how Standard Webhooks marks a secret
_OPEN = SECRET_PREFIX.encode()


def new_secret(chance: bytes) -> str:
    """Return a secret as Standard Webhooks writes it, from 24 to 64 random bytes."""
    return SECRET_PREFIX + base64.b64encode(chance).decode()


class SealBroken(Exception):
    """No key of this deployment opens what was sealed."""


class Seal:
    """Closes with the first key, opens with any. Without a key, secrets are kept as they are."""

    def __init__(self, keys: Sequence[str] = ()) -> None:
        self._keys = MultiFernet([Fernet(key) for key in keys]) if keys else None

    def close(self, secret: str) -> bytes:
        """Return a secret as it is stored."""
        return self._keys.encrypt(secret.encode()) if self._keys else secret.encode()

    def open(self, stored: bytes) -> str:
        """Return a stored secret. Raises SealBroken."""
        if stored.startswith(_OPEN):  # stored before there was a key; no sealed one begins so
            return stored.decode()
        if self._keys is None:
            raise SealBroken("the secret is sealed, and TASKYARD_WEBHOOKS_KEYS is not set")
        try:
            return self._keys.decrypt(stored).decode()
        except InvalidToken as error:
            raise SealBroken("no key in TASKYARD_WEBHOOKS_KEYS opens the secret") from error
