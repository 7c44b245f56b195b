"""Who is logged in in a browser."""

import hmac
from collections.abc import Awaitable, Callable

from quart import Request

from taskyard.core.errors import Forbidden, Unauthenticated
from taskyard.core.principal import Principal
from taskyard.ui.cookies import Session, SessionCookies

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})  # RFC 9110, section 9.2.1
_KEY = "key:tk_"

Holder = Callable[[str], Awaitable[Principal]]


class BrowserSessions:
    """Knows whose a session is. `holder` knows by its prefix whose an API key is now."""

    def __init__(self, cookies: SessionCookies, holder: Holder) -> None:
        self.cookies = cookies
        self._holder = holder

    async def principal_of(self, request: Request) -> Principal | None:
        """Return who is logged in in the browser that asks, if anybody is.

        Raises Forbidden when what changes something comes without the session's CSRF token.
        """
        session = self.cookies.read(request.cookies)
        if session is None or (principal := await self.current(session)) is None:
            return None
        if request.method not in _SAFE:
            require_csrf(session, request.headers.get("X-CSRF-Token"))
        return principal

    async def current(self, session: Session) -> Principal | None:
        """Return who is logged in; a session by key is what the key is now, and ends with it."""
        if session.principal is None or not session.principal.name.startswith(_KEY):
            return session.principal
        try:
            return await self._holder(session.principal.name.removeprefix(_KEY))
        except Unauthenticated:
            return None


def require_csrf(session: Session | None, shown: str | None) -> None:
    """Raise Forbidden unless a request comes from a page that we gave to this very session."""
    expected = session.csrf if session is not None else ""
    if not expected or not hmac.compare_digest((shown or "").encode(), expected.encode()):
        raise Forbidden("the page was not made for this session; load it again and repeat")
