"""Who is logged in in a browser."""

import hashlib
import hmac
from dataclasses import dataclass

from quart import Request, Response

from taskyard.core.errors import Forbidden
from taskyard.core.principal import Principal
from taskyard.core.session import Way
from taskyard.services.sessions import Sessions
from taskyard.ui.cookies import SessionCookies

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who is logged in in a browser; `csrf` must come with every form."""

    principal: Principal
    csrf: str


class BrowserSessions:
    """Knows whose the session of a browser is, begins it and ends it."""

    def __init__(self, cookies: SessionCookies, sessions: Sessions) -> None:
        self.cookies = cookies
        self._sessions = sessions

    async def principal_of(self, request: Request) -> Principal | None:
        """Return who is logged in in the browser that asks, if anybody is.

        Raises StorageUnavailable, and Forbidden when what changes something comes without the
        session's CSRF token.
        """
        if (session := await self.session_of(request)) is None:
            return None
        if request.method not in _SAFE:
            require_csrf(session.csrf, request.headers.get("X-CSRF-Token"))
        return session.principal

    async def session_of(self, request: Request) -> Session | None:
        """Return the session of the browser that asks, if it is open. Raises StorageUnavailable."""
        if (secret := self.cookies.read(request.cookies)) is None:
            return None
        if (principal := await self._sessions.find(secret)) is None:
            return None
        return Session(principal=principal, csrf=_csrf(secret))

    async def begin(
        self, request: Request, response: Response, principal: Principal, way: Way
    ) -> None:
        """Log somebody in; what the browser had before is ended. Raises StorageUnavailable."""
        secret, former = self.cookies.begin(), self.cookies.read(request.cookies)
        await self._sessions.begin(principal, way, secret, instead_of=former)
        self.cookies.write(response, secret)

    async def end(self, request: Request, response: Response) -> None:
        """Log out, for every copy of the cookie. Raises StorageUnavailable."""
        if (secret := self.cookies.read(request.cookies)) is not None:
            await self._sessions.end(secret)
        self.cookies.remove(response)


def _csrf(secret: str) -> str:
    # It stands in pages: nobody gets from it to the secret, nor to that of another session.
    return hmac.digest(secret.encode(), b"taskyard csrf", hashlib.sha256).hex()


def require_csrf(expected: str | None, shown: str | None) -> None:
    """Raise Forbidden unless a request comes from a page that we gave to this very browser."""
    if not expected or not hmac.compare_digest((shown or "").encode(), expected.encode()):
        raise Forbidden("the page was not made for this session; load it again and repeat")
