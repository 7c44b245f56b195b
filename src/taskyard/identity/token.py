"""A JSON Web Token, from the text to claims that can be believed.

Before the signature is verified nothing in a token is believed: its header may only choose among
what the issuer's configuration allows, and what would bring a key along is refused (RFC 8725).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import ExpiredTokenError, JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import Key
from joserfc.jwt import JWTClaimsRegistry
from joserfc.util import urlsafe_b64decode

from taskyard import strict_json
from taskyard.core.errors import TaskyardError, Unauthenticated
from taskyard.core.issuer import Family

LONGEST = 8192  # characters; looked at before anything else

# Three parts with something in each: neither encrypted (five), nor JSON, nor unsigned.
_COMPACT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
# A token that says where its key is, or what must be understood, is not for us to obey.
_REFUSED_HEADERS = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc")


@dataclass(frozen=True, slots=True)
class Unverified:
    """What a token says of itself. `issuer` chooses whose keys it is held against."""

    header: dict[str, Any]
    claims: dict[str, Any]
    issuer: str
    signed: jws.CompactSignature

    @property
    def key_id(self) -> str | None:
        """Which of its issuer's keys it names."""
        return self.header.get("kid")


def refused(why: str) -> Unauthenticated:
    """Return the error of a token that is not taken. `why` holds nothing that it said."""
    return Unauthenticated(f"the token is not valid here: {why}")


def read(token: str) -> Unverified:
    """Take a token apart. Raises Unauthenticated."""
    if len(token) > LONGEST:
        raise refused(f"it is longer than {LONGEST} characters")
    if not _COMPACT.fullmatch(token):
        raise refused("it is not a signed JSON Web Token in compact form")
    header, claims = (_object(part) for part in token.split(".")[:2])
    issuer, key_id = claims.get("iss"), header.get("kid")
    if not isinstance(issuer, str) or not isinstance(key_id, str | None):
        raise refused("it does not say well who has issued it")
    try:
        signed = jws.extract_compact(token.encode(), registry=_NONE)
    except (JoseError, ValueError):
        raise refused("it is not a signed JSON Web Token in compact form") from None
    return Unverified(header, claims, issuer, signed)


def _object(part: str) -> dict[str, Any]:
    try:
        value = strict_json.decode(urlsafe_b64decode(part.encode()))
    except (ValueError, TaskyardError):
        raise refused("a part of it is not JSON in base64url") from None
    if not isinstance(value, dict):
        raise refused("a part of it is not a JSON object")
    return value


def check_header(token: Unverified, family: Family, types: Collection[str]) -> None:
    """Refuse what the issuer's tokens do not have. Raises Unauthenticated.

    In `types` an empty string stands for a token without `typ`.
    """
    if found := [name for name in _REFUSED_HEADERS if name in token.header]:
        raise refused(f"its header has {found[0]}, which is not taken here")
    if token.header.get("alg") not in family.algorithms:
        raise refused("its algorithm is not one that its issuer signs with")
    kind = token.header.get("typ", "")
    # RFC 7515, section 4.1.9: the prefix is left out, and media types know no case.
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in types:
        raise refused("its type is not that of an access token")


def verify(
    token: Unverified, key: Key, *, family: Family, audience: str, now: float, leeway: float
) -> dict[str, Any]:
    """Return the claims, which can be believed now. Raises Unauthenticated.

    `now` is seconds since the epoch, `leeway` how many of them clocks may differ by.
    """
    try:
        valid = jws.validate_compact(token.signed, key, registry=_REGISTRIES[family])
    except (JoseError, ValueError):
        valid = False
    if not valid:
        raise refused("its signature is not that of its issuer")
    _check_claims(token.claims, audience=audience, now=now, leeway=leeway)
    return token.claims


def _check_claims(claims: dict[str, Any], *, audience: str, now: float, leeway: float) -> None:
    rules = JWTClaimsRegistry(
        now=int(now),
        leeway=int(leeway),
        aud={"essential": True, "value": audience},
        exp={"essential": True},
        sub={"essential": True},
    )
    try:
        rules.validate({name: claims[name] for name in _CHECKED if name in claims})
    except ExpiredTokenError:
        raise refused("it has expired") from None
    except JoseError as error:
        name = str(getattr(error, "claim", "aud")).split(",")[0]
        raise refused(f"its claim {name} is missing, or not one that is taken now") from None


_CHECKED = ("aud", "exp", "sub", "nbf", "iat", "jti")


class _Algorithms(jws.JWSRegistry):
    """The algorithms of one family. Sizes are bounded by that of the token."""

    max_header_length = LONGEST
    max_signature_length = LONGEST

    def __init__(self, names: Collection[str] = ()) -> None:
        # Unknown header parameters mean nothing (RFC 7515, section 4); ours are looked at above.
        super().__init__(algorithms=names, strict_check_header=False)

    def get_alg(self, name: str) -> JWSAlgModel:
        """Return an algorithm of the family, also by the name it had before RFC 9864."""
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


_NONE = _Algorithms()
_REGISTRIES = {family: _Algorithms(family.algorithms) for family in Family}
