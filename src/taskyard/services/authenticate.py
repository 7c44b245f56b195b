"""Authenticate: from what a caller shows to who they are."""

from typing import Protocol

from taskyard.core.principal import Principal

KEY_BEGINS = "tk_"  # no token does: its first part is an object in base64url


class Authenticator(Protocol):
    """What knows whose a key or a token is."""

    async def principal_of(self, token: str) -> Principal:
        """Return who shows it. Raises Unauthenticated, and StorageUnavailable if nobody can say."""


class KeysAndTokens:
    """Knows whose an API key is, and whose a token of an issuer."""

    def __init__(self, keys: Authenticator, tokens: Authenticator) -> None:
        self._keys = keys
        self._tokens = tokens

    async def principal_of(self, token: str) -> Principal:
        """Return who shows it. Raises Unauthenticated, and Unavailable if nobody can say."""
        known = self._keys if token.startswith(KEY_BEGINS) else self._tokens
        return await known.principal_of(token)
