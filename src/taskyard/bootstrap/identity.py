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
        known: dict[str, Any] = {
            "authenticator": keys if tokens is None else KeysAndTokens(keys, tokens),
            "known": keys.known,
            "production": given.production,
        }
        if given.session_keys:
            known |= await stack.enter_async_context(_pages(given, pool, keys, tokens))
        yield known


@asynccontextmanager
async def _pages(
    given: Settings, pool: "Pool", keys: "ApiKeys", tokens: "Issuers | None"
) -> AsyncIterator[dict[str, Any]]:
    from taskyard.identity import Logins
    from taskyard.services.refused_logins import open_refused_logins
    from taskyard.services.sessions import Sessions
    from taskyard.ui import BrowserSessions, Doors, SessionCookies, pages_blueprint

    cookies = SessionCookies(
        given.session_keys,
        secure=given.production or (given.public_url or "").startswith("https://"),
        now=time.time,
        chance=lambda: secrets.token_urlsafe(32),
    )
    logins = None
    if tokens is not None and given.public_url is not None:
        redirect_uri = f"{given.public_url}/login/done"
        logins = Logins(tokens.trusted, redirect_uri=redirect_uri, now=time.time)
    issuers_here = () if logins is None else tuple(logins.labels)
    kept = Sessions(pool, issuers=issuers_here, clock=time.monotonic)
    sessions = BrowserSessions(cookies, kept)
    async with open_refused_logins(pool) as refused:
        doors = Doors(sessions=sessions, keys=keys, refused=refused, logins=logins)
        yield {"sessions": sessions, "pages": (pages_blueprint(doors),)}
