"""What knows who asks: keys, tokens, and the sessions of browsers."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from taskyard.bootstrap.surroundings import issuers, key_pepper
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.identity import Issuers
    from taskyard.services.keys import ApiKeys
    from taskyard.storage.pool import Pool


@asynccontextmanager
async def open_identity(given: Settings, pool: "Pool") -> AsyncIterator[dict[str, Any]]:
    """Open what knows who asks; yield it as the parts of the API that it is.

    Tokens are taken when issuers are configured, and people may log in when a session key is.
    """
    from taskyard.services.authenticate import KeysAndTokens
    from taskyard.services.keys import ApiKeys

    keys, trusted, tokens = ApiKeys(pool, pepper=key_pepper(given)), issuers(given), None
    async with AsyncExitStack() as stack:
        if trusted:
            from taskyard.identity import open_issuers

            opened = open_issuers(trusted, production=given.production)
            tokens = await stack.enter_async_context(opened)
        yield {
            "authenticator": keys if tokens is None else KeysAndTokens(keys, tokens),
            "production": given.production,
            **(_pages(given, keys, tokens) if given.session_keys else {}),
        }


def _pages(given: Settings, keys: "ApiKeys", tokens: "Issuers | None") -> dict[str, Any]:
    from taskyard.identity import Logins
    from taskyard.ui import BrowserSessions, Doors, SessionCookies, pages_blueprint

    cookies = SessionCookies(
        given.session_keys,
        secure=given.production or (given.public_url or "").startswith("https://"),
        now=time.time,
        chance=lambda: secrets.token_urlsafe(32),
    )
    sessions, logins = BrowserSessions(cookies, keys.holder), None
    if tokens is not None and given.public_url is not None:
        redirect_uri = f"{given.public_url}/login/done"
        logins = Logins(tokens.trusted, redirect_uri=redirect_uri, now=time.time)
    doors = Doors(sessions=sessions, keys=keys, logins=logins)
    return {"sessions": sessions, "pages": (pages_blueprint(doors),)}
