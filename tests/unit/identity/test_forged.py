"""identity/: no forged token gets in, and whoever forged it learns nothing."""

import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwe, jws
from joserfc.jwk import Key, KeySet

from taskyard.core.errors import Unauthenticated
from taskyard.core.issuer import ClaimRules, Family, Issuer
from taskyard.core.principal import TenantId
from taskyard.identity import Issuers, open_issuers
from tests.authorization import AUDIENCE, new_key

HOME, OTHER = "https://id.example", "https://other.example"
KEY, STRANGER = new_key("RS256"), new_key("RS256")
OTHERS, ALSO_EC = new_key("ES256"), new_key("ES256")
NOW = 1_800_000_000
CLAIMS = {
    "iss": HOME, "aud": AUDIENCE, "sub": "billing", "exp": NOW + 300, "iat": NOW, "nbf": NOW,
    "org": "acme", "scope": "submit read", "jti": "1",
}  # fmt: skip
Forge = Callable[[], str]


def signed(
    header: dict[str, Any] | None = None, *, key: Key = KEY, claims: Any = None, **more: Any
) -> str:
    """A token as it should be, but for what is said here; None leaves a header or claim out."""
    alg = key.get("alg")
    head = {"alg": alg, "typ": "at+jwt", "kid": key.kid} | (header or {})
    body = CLAIMS | more if claims is None else claims
    if isinstance(body, dict):
        body = json.dumps({name: value for name, value in body.items() if value is not None})
    head = {name: value for name, value in head.items() if value is not None}
    return raw(json.dumps(head), body, key, str(head.get("alg", alg)))


def raw(head: str | bytes, body: str | bytes, key: Key, alg: str) -> str:
    """Sign exactly these bytes, whatever a library would say of the header."""
    message = b64(head) + "." + b64(body)
    if alg not in jws.JWSRegistry.algorithms or alg == "none":
        return message + "." + b64("x" * 32)
    signature = jws.JWSRegistry.algorithms[alg].sign(message.encode(), key)
    return message + "." + b64(signature)


def b64(value: str | bytes) -> str:
    data = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@pytest.fixture
async def issuers(tmp_path: Path) -> AsyncIterator[Issuers]:
    """Two issuers, with pinned keys."""
    for name, key in (("home", KEY), ("other", OTHERS)):
        (tmp_path / name).write_text(json.dumps(KeySet([key]).as_dict(private=False)))
    trusted = [
        Issuer(
            issuer=HOME, audience=AUDIENCE, family=Family.RS, jwks=str(tmp_path / "home"),
            claims=ClaimRules(tenant_claim=("org",), tenants=frozenset({TenantId("acme")}),
                              patterns_claim=("types",)),
        ),
        Issuer(
            issuer=OTHER, audience=AUDIENCE, family=Family.ES, jwks=str(tmp_path / "other"),
            claims=ClaimRules(tenant=TenantId("beta")),
        ),
    ]  # fmt: skip
    async with open_issuers(trusted, production=True, now=lambda: NOW) as opened:
        yield opened


def hmac_with_public_key(*, form: str = "PEM", **more: Any) -> str:
    """What once got into libraries that let the token choose how the key is used."""
    secret = KEY.as_bytes(form, private=False)  # type: ignore[union-attr,arg-type]
    message = b64(json.dumps(head(alg="HS256", **more))) + "." + b64(json.dumps(CLAIMS))
    return message + "." + b64(hmac.digest(secret, message.encode(), "sha256"))


def rekeyed(**more: Any) -> Key:
    return type(KEY).import_key({**KEY.as_dict(private=True), **more})


def with_signature_of(good: str, other: str) -> str:
    return good.rsplit(".", 1)[0] + "." + other.rsplit(".", 1)[1]


def with_bit_flipped() -> str:
    start, signature = signed().rsplit(".", 1)
    return f"{start}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def encrypted() -> str:
    header = {"alg": "RSA-OAEP", "enc": "A128GCM", "typ": "at+jwt", "kid": KEY.kid}
    return jwe.encrypt_compact(header, json.dumps(CLAIMS), rekeyed(use="enc", alg="RSA-OAEP"))


def two_signatures() -> str:
    members = [{"protected": {"alg": "RS256", "kid": k.kid}} for k in (KEY, STRANGER)]
    both = jws.serialize_json(members, json.dumps(CLAIMS), KeySet([KEY, STRANGER]))  # type: ignore[arg-type]
    return json.dumps(both)


def json_form() -> str:
    head, body, signature = signed().split(".")
    return json.dumps({"protected": head, "payload": body, "signature": signature})


def detached() -> str:
    head, _, signature = signed().split(".")
    return f"{head}..{signature}"


def head(**more: Any) -> dict[str, Any]:
    return {"alg": "RS256", "typ": "at+jwt", "kid": KEY.kid, **more}


def twice(name: str, value: str) -> str:
    """Claims in which the last of two wins with most decoders."""
    return json.dumps({"iss": OTHER, **CLAIMS})[:-1] + f', "{name}": {json.dumps(value)}}}'


PUBLIC = STRANGER.as_dict(private=False)
# By what they are refused for: each by the check that is there for it.
FORGED: dict[str, dict[str, Forge]] = {
    "its algorithm is not one that its issuer signs with": {
        "alg none": lambda: signed({"alg": "none"}),
        "alg NoNe": lambda: signed({"alg": "NoNe"}),
        "alg is a list": lambda: signed({"alg": ["RS256"]}),
        "HS256 with the public key": hmac_with_public_key,
        "HS256 with the public key, no kid": lambda: hmac_with_public_key(kid=None),
        "HS256 with the public key as DER": lambda: hmac_with_public_key(form="DER"),
        "PS256 with the right key": lambda: raw(
            json.dumps(head(alg="PS256")), json.dumps(CLAIMS), rekeyed(alg="PS256"), "PS256"),
        "alg of another family": lambda: signed(key=OTHERS),
    },
    "its type is not that of an access token": {
        "typ missing": lambda: signed({"typ": None}),
        "typ of another kind": lambda: signed({"typ": "logout+jwt"}),
        "typ is a number": lambda: signed({"typ": 1}),
    },
    "it has expired": {"expired": lambda: signed(exp=NOW - 31)},
    "its claim exp is missing, or not one that is taken now": {
        "exp missing": lambda: signed(exp=None),
        "exp is a text": lambda: signed(exp=str(NOW + 300)),
        "exp is true": lambda: signed(exp=True),
    },
    "its claim nbf is missing, or not one that is taken now": {
        "not yet": lambda: signed(nbf=NOW + 31),
        "nbf is a text": lambda: signed(nbf="now"),
    },
    "its claim iat is missing, or not one that is taken now": {
        "issued in the future": lambda: signed(iat=NOW + 31),
    },
    "its claim aud is missing, or not one that is taken now": {
        "for another audience": lambda: signed(aud="https://elsewhere.example"),
        "for other audiences": lambda: signed(aud=["https://elsewhere.example", AUDIENCE + "/"]),
        "aud missing": lambda: signed(aud=None),
        "aud is empty": lambda: signed(aud=[]),
        "aud is an object": lambda: signed(aud={AUDIENCE: 1}),
    },
    "its claim sub is missing, or not one that is taken now": {
        "sub missing": lambda: signed(sub=None),
        "sub is empty": lambda: signed(sub=""),
        "sub is a number": lambda: signed(sub=7),
        "sub with a line break": lambda: signed(sub="a\nadmin"),
        "sub is long": lambda: signed(sub="a" * 256),
    },
    "it does not say well who has issued it": {
        "iss missing": lambda: signed(iss=None),
        "iss is a list": lambda: signed(iss=[HOME]),
        "kid is a number": lambda: signed({"kid": 7}),
    },
    "it is of an issuer that is not trusted here": {
        "iss unknown": lambda: signed(iss="https://evil.example"),
        "iss with a slash more": lambda: signed(iss=HOME + "/"),
    },
    "the key that it names is not known": {
        "kid of another issuer": lambda: signed({"kid": OTHERS.kid}),
        "kid unknown": lambda: signed({"kid": "nowhere"}),
        "kid is a path": lambda: signed({"kid": "../../../../dev/null"}),
        "kid is empty": lambda: signed({"kid": ""}),
        "key of another issuer": lambda: signed(iss=OTHER, key=ALSO_EC),
    },
    "its signature is not that of its issuer": {
        "another key under the right kid": lambda: signed({"kid": KEY.kid}, key=STRANGER),
        "another key without a kid": lambda: signed({"kid": None}, key=STRANGER),
        "signature of another token": lambda: with_signature_of(signed(), signed(sub="other")),
        "a bit flipped": with_bit_flipped,
        "signature of one letter": lambda: signed().rsplit(".", 1)[0] + ".e",
        "another length of the same family": lambda: signed({"alg": "RS512"}),
    },
    "its header has": {
        "crit": lambda: signed({"crit": ["exp"], "exp": 1}),
        "crit that is empty": lambda: signed({"crit": []}),
        "crit b64": lambda: signed({"crit": ["b64"], "b64": True}),
        "jwk embedded": lambda: signed({"jwk": PUBLIC, "kid": STRANGER.kid}, key=STRANGER),
        "jwk embedded, signed well": lambda: signed({"jwk": PUBLIC}),
        "jku": lambda: signed({"jku": "https://evil.example/keys"}, key=STRANGER),
        "jku, signed well": lambda: signed({"jku": HOME + "/keys"}),
        "x5u": lambda: signed({"x5u": "https://evil.example/cert"}, key=STRANGER),
        "x5c": lambda: signed({"x5c": ["MIIB"]}),
        "compressed": lambda: signed({"zip": "DEF"}),
    },
    "it is not a signed JSON Web Token in compact form": {
        "alg missing": lambda: signed({"alg": None}),
        "alg none without a signature": lambda: signed({"alg": "none"}).rsplit(".", 1)[0] + ".",
        "b64 false": lambda: signed({"b64": False}),
        "encrypted": encrypted,
        "two signatures": two_signatures,
        "in JSON form": json_form,
        "detached": detached,
        "four parts": lambda: signed() + ".x",
        "two parts": lambda: signed().rsplit(".", 1)[0],
        "nothing": lambda: "",
        "dots": lambda: "..",
        "words": lambda: "let me in",
        "not ASCII": lambda: signed() + "é",
        "with a line break": lambda: signed() + "\n",
        "padded": lambda: signed() + "==",
        "base64 of the other alphabet": lambda: signed().replace("_", "/") + "+",
    },
    "a part of it is not JSON in base64url": {
        "base64 with loose bits": lambda: b64(json.dumps(head())) + ".QQR.QQ",
        "base64 of one letter": lambda: "e.e.e",
        "nested": lambda: signed(claims='{"iss":' + "[" * 2000 + "]" * 2000 + "}"),
        "nested header": lambda: raw('{"alg":' + "[" * 2000 + "]" * 2000 + "}", "{}", KEY, "x"),
        "payload is not JSON": lambda: signed(claims="x"),
        "payload is not UTF-8": lambda: raw(json.dumps(head()), b'{"iss": "\xff"}', KEY, "RS256"),
        "header is not JSON": lambda: raw("{", json.dumps(CLAIMS), KEY, "RS256"),
        "issuer given twice": lambda: signed(claims=twice("iss", HOME)),
        "exp is NaN": lambda: signed(claims=json.dumps(CLAIMS | {"exp": float("nan")})),
        "exp beyond all": lambda: signed(claims=json.dumps(CLAIMS | {"exp": 10**400})),
    },
    "a part of it is not a JSON object": {
        "payload is a list": lambda: signed(claims="[1]"),
        "payload is a text": lambda: signed(claims='"x"'),
        "header is a list": lambda: raw('["alg"]', json.dumps(CLAIMS), KEY, "RS256"),
    },
    "it is longer than 8192 characters": {"huge": lambda: signed(pad="x" * 8192)},
    "it does not say well for which tenant it is": {
        "tenant missing": lambda: signed(org=None),
        "tenant is a list": lambda: signed(org=["acme"]),
        "tenant malformed": lambda: signed(org="Acme'; --"),
        "tenant with a line break": lambda: signed(org="acme\n"),
    },
    "its issuer may not speak for the tenant that it names": {
        "tenant of another issuer": lambda: signed(org="beta"),
    },
    "its claim about scopes is neither a text nor a list of texts": {
        "scope is a number": lambda: signed(scope=7),
        "scope is an object": lambda: signed(scope={"admin": True}),
        "scope is a list of lists": lambda: signed(scope=[["admin"]]),
    },
    "it does not say well which task types it is for": {
        "patterns malformed": lambda: signed(types=["a.b*"]),
        "many patterns": lambda: signed(types=["a"] * 101),
    },
}  # fmt: skip

GOOD: dict[str, Forge] = {
    "as it should be": signed,
    "typ in full and in capitals": lambda: signed({"typ": "application/AT+JWT"}),
    "typ JWT": lambda: signed({"typ": "JWT"}),
    "several audiences": lambda: signed(aud=["https://a.example", AUDIENCE]),
    "no kid, and only one key": lambda: signed({"kid": None}),
    "an unknown header": lambda: signed({"x5t": "abc", "env": "test"}),
    "clocks that differ": lambda: signed(exp=NOW - 29, iat=NOW + 29, nbf=NOW + 29),
}


CASES = [(why, name) for why, group in FORGED.items() for name in group]


@pytest.mark.parametrize(("why", "name"), CASES, ids=[name for _, name in CASES])
async def test_a_forged_token_is_refused(issuers: Issuers, why: str, name: str) -> None:
    """Whatever it is, the answer is Unauthenticated, in a sentence that repeats nothing of it."""
    # Given a token with one thing wrong
    token = FORGED[why][name]()
    # When it is shown
    with pytest.raises(Unauthenticated) as caught:
        await issuers.principal_of(token)
    # Then it is refused for that, and who forged it learns nothing of whom we trust
    assert caught.value.detail.startswith(f"the token is not valid here: {why}")
    for secret in ("acme", "beta", "example", "RS256", str(KEY.kid)):
        assert secret not in caught.value.detail


@pytest.mark.parametrize("name", list(GOOD))
async def test_a_good_token_is_taken(issuers: Issuers, name: str) -> None:
    """The forged ones are refused for what is wrong with them, not for how they are made."""
    found = await issuers.principal_of(GOOD[name]())
    assert (found.tenant, found.name) == ("acme", f"oidc:{HOME}#billing")


async def test_a_huge_token_is_not_even_looked_at(
    issuers: Issuers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its length is known before any of it is decoded."""
    from taskyard.identity import token

    monkeypatch.setattr(token, "_object", None)
    with pytest.raises(Unauthenticated, match="longer than 8192"):
        await issuers.principal_of("a" * 10_000_000)
