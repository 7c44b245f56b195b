"""Whose tokens are taken, and what their claims mean here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from taskyard.core.principal import Scope, TenantId

ClaimPath = tuple[str, ...]  # names from the outermost object to the value


class Family(StrEnum):
    """Signature algorithms of one kind (RFC 7518, section 3.1; RFC 8037; RFC 9864).

    An issuer has one: a token that names another one never gets near a key (RFC 8725, 3.1).
    """

    RS = "RS"
    PS = "PS"
    ES = "ES"
    EDDSA = "EdDSA"

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The values of `alg` that belong to it."""
        return _ALGORITHMS[self]

    @property
    def key_type(self) -> str:
        """The `kty` of its keys (RFC 7518, section 6.1)."""
        return {Family.ES: "EC", Family.EDDSA: "OKP"}.get(self, "RSA")


_ALGORITHMS: Mapping[Family, tuple[str, ...]] = {
    Family.RS: ("RS256", "RS384", "RS512"),
    Family.PS: ("PS256", "PS384", "PS512"),
    Family.ES: ("ES256", "ES384", "ES512"),
    Family.EDDSA: ("EdDSA", "Ed25519", "Ed448"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRules:
    """How the claims of a token become a principal.

    Either every token is for the tenant `tenant`, or `tenant_claim` names it, out of `tenants` if
    those are given. Without `scopes` the names in the claim are those of our scopes, and others
    mean nothing here; with it they are looked up there.
    """

    tenant: TenantId | None = None
    tenant_claim: ClaimPath | None = None
    tenants: frozenset[TenantId] | None = None
    scopes_claim: ClaimPath = ("scope",)
    scopes: Mapping[str, frozenset[Scope]] | None = None
    patterns_claim: ClaimPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """That people may log in at an issuer, with us as its client.

    `request` is what is asked for. `scopes_claim` is where its ID tokens say what a person may do,
    if not where access tokens say it.
    """

    client_id: str
    client_secret: str | None = field(default=None, repr=False)
    label: str = "Log in with OpenID Connect"
    request: tuple[str, ...] = ("openid",)
    scopes_claim: ClaimPath | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who signs tokens that are taken, if they are for `audience`.

    `jwks` is the https URL or the file of its keys; without it they are found by discovery, at
    `metadata`. `types` are the media types that a token may have in its header, in lower case and
    without `application/`. `ca_file` holds the certificates that its own must lead to.
    """

    issuer: str
    audience: str
    family: Family
    claims: ClaimRules
    jwks: str | None = None
    metadata: str | None = None
    types: tuple[str, ...] = ("at+jwt", "jwt")
    leeway: timedelta = timedelta(seconds=30)
    ca_file: str | None = None
    login: Login | None = None

    @property
    def metadata_url(self) -> str:
        """Where its metadata is (OpenID Connect Discovery 1.0, section 4)."""
        return self.metadata or self.issuer.rstrip("/") + "/.well-known/openid-configuration"


def may_be_read(url: str, *, production: bool) -> bool:
    """Return whether keys may come from there: by https, or from this machine in development."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(host)
    return parts.scheme == "http" and not production and host in _LOOPBACK


_LOOPBACK = ("127.0.0.1", "::1", "localhost")
