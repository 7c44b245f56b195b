"""What a browser keeps, signed and for no script: its session, before that a login under way."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from quart import Response

from taskyard.core.session import LONGEST
from taskyard.identity import Flow

_VISIT = 3600  # seconds to log in


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One browser in which nobody has logged in yet.

    `csrf` must come with the form of the login, `flow` is a login under way at an issuer.
    """

    csrf: str
    begun: int
    flow: Flow | None = None


class SessionCookies:
    """Writes cookies and reads them; the first key signs, all verify.

    The signature is there so that a cookie that was made up costs no look into the database, and so
    that another key ends all sessions at once.
    """

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
        prefix = "__Host-" if secure else ""
        self.name, self.visit_name = f"{prefix}taskyard", f"{prefix}taskyard-login"
        self._sessions, self._visits = _signer(keys, "session"), _signer(keys, "login")

    def begin(self) -> str:
        """Return the secret of another session, 256 bits that nobody can guess."""
        return self._chance()

    def read(self, cookies: Mapping[str, str]) -> str | None:
        """Return the secret that a browser shows, if it was given out here."""
        found = _read(self._sessions, cookies.get(self.name))
        return found if isinstance(found, str) else None

    def write(self, response: Response, secret: str) -> None:
        """Let a browser keep the secret of its session, and nothing of the login."""
        self._set(response, self.name, self._sessions.dumps(secret), LONGEST.total_seconds())
        self._delete(response, self.visit_name)

    def remove(self, response: Response) -> None:
        """Have the browser forget its session."""
        self._delete(response, self.name)

    def begin_visit(self, *, flow: Flow | None = None) -> Visit:
        """Return another visit: nothing of one before it is any good for it."""
        return Visit(csrf=self._chance(), begun=int(self._now()), flow=flow)

    def read_visit(self, cookies: Mapping[str, str]) -> Visit | None:
        """Return the visit of a browser, unless it was long ago or was not signed here."""
        try:
            visit = msgspec.convert(_read(self._visits, cookies.get(self.visit_name)), Visit)
        except msgspec.ValidationError:
            return None
        return None if self._now() - visit.begun > _VISIT else visit

    def write_visit(self, response: Response, visit: Visit) -> None:
        """Let a browser keep its visit."""
        value = self._visits.dumps(msgspec.to_builtins(visit))
        self._set(response, self.visit_name, value, _VISIT)

    def _set(self, response: Response, name: str, value: str | bytes, seconds: float) -> None:
        assert isinstance(value, str)
        response.set_cookie(
            name, value, max_age=int(seconds), path="/", secure=self._secure, httponly=True,
            samesite="Lax",  # not Strict: an issuer sends the browser back from elsewhere
        )  # fmt: skip

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(name, path="/", secure=self._secure, httponly=True, samesite="Lax")


def _signer(keys: Sequence[str], purpose: str) -> URLSafeSerializer:
    return URLSafeSerializer(
        list(reversed(keys)),  # the last one signs
        salt=f"taskyard {purpose}",
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )


def _read(signer: URLSafeSerializer, text: str | None) -> object:
    try:
        return None if text is None else signer.loads(text)
    except BadData:
        return None
