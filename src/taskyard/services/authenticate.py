"""Authenticate: from what a caller shows to who they are."""

from typing import Protocol

from taskyard.core.principal import Principal


class Authenticator(Protocol):
    """What knows whose a key or a token is."""

    async def principal_of(self, token: str) -> Principal:
        """Return who shows it. Raises Unauthenticated, and StorageUnavailable if nobody can say."""
