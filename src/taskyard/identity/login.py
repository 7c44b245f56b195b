"""People log in at an issuer: OpenID Connect, authorization code flow with PKCE.

OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207; RFC 9700, section 2.1.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from taskyard.core.errors import IssuerUnavailable, Unauthenticated
from taskyard.core.issuer import Login
from taskyard.core.principal import Principal
from taskyard.identity.documents import NotRead
from taskyard.identity.issuers import Trusted
from taskyard.identity.principal import principal
from taskyard.identity.token import read, refused

log = structlog.get_logger(__name__)

_ID_TOKEN_TYPES = ("jwt", "")  # OpenID Connect Core 1.0 does not ask for one


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A login under way, as only the browser that began it knows it."""

    issuer: str
    state: str
    nonce: str
    verifier: str


class Logins:
    """The issuers at which people may log in, in the order of their file."""

    def __init__(
        self, trusted: Mapping[str, Trusted], *, redirect_uri: str, now: Callable[[], float]
    ) -> None:
        self._at = {
            name: (found, found.issuer.login)
            for name, found in trusted.items()
            if found.issuer.login is not None
        }
        self._redirect_uri = redirect_uri
        self._now = now

    @property
    def labels(self) -> Mapping[str, str]:
        """What to write on the buttons, by issuer."""
        return {name: login.label for name, (_, login) in self._at.items()}

    async def begin(self, issuer: str, chance: Callable[[], str]) -> tuple[str, Flow]:
        """Return where to send the browser, and what it must bring back.

        `chance` returns 43 to 128 characters that nobody can guess. Raises IssuerUnavailable.
        """
        trusted, login = self._at[issuer]
        flow = Flow(issuer=issuer, state=chance(), nonce=chance(), verifier=chance())
        try:
            endpoint = await trusted.documents.endpoint("authorization_endpoint")
        except NotRead as error:
            raise _away(error) from error
        return prepare_grant_uri(
            endpoint,
            client_id=login.client_id,
            response_type="code",
            redirect_uri=self._redirect_uri,
            scope=" ".join(login.request),
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        ), flow

    async def finish(self, flow: Flow, answer: Mapping[str, str]) -> Principal:
        """Return who has logged in. Raises Unauthenticated and IssuerUnavailable.

        `answer` is the query with which the issuer has sent the browser back.
        """
        if flow.issuer not in self._at:
            raise Unauthenticated("the login began with an issuer that is no longer offered")
        trusted, login = self._at[flow.issuer]
        if not hmac.compare_digest(answer.get("state", "").encode(), flow.state.encode()):
            raise Unauthenticated("the login was not begun in this browser; begin again")
        if answer.get("iss", flow.issuer) != flow.issuer or "code" not in answer:
            raise Unauthenticated("the login was not completed at the issuer; begin again")
        granted = await self._redeem(trusted, login, flow, answer["code"])
        claims = await self._claims(trusted, login, flow, granted)
        rules = trusted.issuer.claims
        rules = replace(rules, scopes_claim=login.scopes_claim or rules.scopes_claim)
        return principal(flow.issuer, rules, claims)

    async def _redeem(
        self, trusted: Trusted, login: Login, flow: Flow, code: str
    ) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": flow.verifier,
        }
        try:
            status, granted = await trusted.documents.redeem(form, login)
        except NotRead as error:
            raise _away(error) from error
        if status != 200 or not isinstance(granted, dict):
            raise Unauthenticated("the issuer did not confirm the login; begin again")
        return granted

    async def _claims(
        self, trusted: Trusted, login: Login, flow: Flow, granted: dict[str, Any]
    ) -> dict[str, Any]:
        id_token, now = granted.get("id_token"), self._now()
        if not isinstance(id_token, str):
            raise Unauthenticated("the issuer did not say who has logged in")
        taken = read(id_token)
        if taken.issuer != flow.issuer:
            raise refused("it is of another issuer")
        claims = await trusted.claims(
            taken, audience=login.client_id, types=_ID_TOKEN_TYPES, now=now
        )
        expected = {
            "nonce": flow.nonce,
            "client_id": login.client_id,
            "access_token": granted.get("access_token"),
        }
        try:
            leeway = trusted.issuer.leeway.total_seconds()
            CodeIDToken(claims, taken.header, params=expected).validate(now=now, leeway=leeway)
        except JoseError:
            raise refused("it does not belong to this login") from None
        return claims


def _away(error: NotRead) -> IssuerUnavailable:
    log.warning("an issuer cannot be asked for a login", error=str(error))
    return IssuerUnavailable("the issuer cannot be asked at the moment; try again")
