"""What knows who asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import issuers
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.services.authenticate import Authenticator
    from taskyard.storage.pool import Pool


@asynccontextmanager
async def open_authenticator(given: Settings, pool: "Pool") -> AsyncIterator["Authenticator"]:
    """Open what knows whose a key is, and whose a token, if tokens are taken here."""
    from taskyard.services.authenticate import KeysAndTokens
    from taskyard.services.keys import ApiKeys

    keys = ApiKeys(pool, pepper=given.key_pepper)
    if not (trusted := issuers(given)):
        yield keys
        return
    from taskyard.identity import open_issuers

    async with open_issuers(trusted, production=given.production) as tokens:
        yield KeysAndTokens(keys, tokens)
