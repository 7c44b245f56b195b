"""What a browser keeps of a session: one signed cookie, read by nobody's script."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from quart import Response

from taskyard.core.errors import Forbidden
from taskyard.core.principal import Principal
from taskyard.identity import Flow

IDLE = 3600  # seconds without a request, then a session ends
LONGEST = 12 * 3600  # seconds after which it ends whatever happens
_FRESH = 60  # seconds in which a cookie is not written anew
_LARGEST = 4000  # bytes; browsers keep 4,096 with the name (RFC 6265, section 6.1)
_SALT = "taskyard session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser; without a principal nobody has logged in there yet.

    `csrf` must come with every form, `flow` is a login under way at an issuer.
    """

    id: str
    csrf: str
    started: int
    seen: int
    principal: Principal | None = None
    flow: Flow | None = None


class SessionCookies:
    """Writes sessions into cookies and reads them; the first key signs, all verify."""

    def __init__(
        self,
        keys: Sequence[str],
        *,
        secure: bool,
        now: Callable[[], float],
        chance: Callable[[], str],
    ) -> None:
        self._secure = secure
        self._now = now
        self._chance = chance
        # With this prefix a browser takes it over https alone, and from no other host.
        self.name = "__Host-taskyard" if secure else "taskyard"
        self._signer = URLSafeSerializer(
            list(reversed(keys)),  # the last one signs
            salt=_SALT,
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def begin(self, *, principal: Principal | None = None, flow: Flow | None = None) -> Session:
        """Return another session: nothing of one before it is any good for it."""
        moment = int(self._now())
        return Session(
            id=self._chance(),
            csrf=self._chance(),
            started=moment,
            seen=moment,
            principal=principal,
            flow=flow,
        )

    def read(self, cookies: Mapping[str, str]) -> Session | None:
        """Return the session of a browser, unless it has ended or was not signed here."""
        if (text := cookies.get(self.name)) is None:
            return None
        try:
            session = msgspec.convert(self._signer.loads(text), Session)
        except (BadData, msgspec.ValidationError):
            return None
        now = self._now()
        ended = now - session.seen > IDLE or now - session.started > LONGEST
        return None if ended else session

    def renewed(self, session: Session) -> Session | None:
        """Return a session as it is seen now, or None if that would make no difference."""
        moment = int(self._now())
        return replace(session, seen=moment) if moment - session.seen >= _FRESH else None

    def write(self, response: Response, session: Session) -> None:
        """Give a session to the browser. Raises Forbidden if no browser would keep it."""
        value = self._signer.dumps(msgspec.to_builtins(session))
        assert isinstance(value, str)
        if len(value) > _LARGEST:
            raise Forbidden("your task types are too many for a session; ask with a token instead")
        response.set_cookie(
            self.name, value, max_age=IDLE, path="/", secure=self._secure, httponly=True,
            samesite="Lax",  # not Strict: an issuer sends the browser back from elsewhere
        )  # fmt: skip

    def remove(self, response: Response) -> None:
        """Have the browser forget its session."""
        response.delete_cookie(
            self.name, path="/", secure=self._secure, httponly=True, samesite="Lax"
        )
