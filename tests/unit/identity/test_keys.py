"""identity/key_set.py and key_ring.py: which keys are believed, and for how long."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import nullcontext
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import JWKRegistry, KeySet, OctKey, RSAKey

from taskyard.core.errors import InvalidIssuers
from taskyard.core.issuer import ClaimRules, Family, Issuer
from taskyard.core.principal import TenantId
from taskyard.identity import open_issuers
from taskyard.identity.documents import NotRead
from taskyard.identity.key_ring import KeyRing
from taskyard.identity.key_set import KeySet as Keys
from taskyard.identity.key_set import NotAKeySet, read_key_set
from taskyard.stopping import end
from tests.authorization import AUDIENCE, new_key
from tests.outward import eventually

HOME = "https://id.example"
ONE, TWO = new_key("ES256"), new_key("ES256")


def public(*keys: Any, **more: Any) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), **more} for key in keys]}


@pytest.mark.parametrize(
    ("alg", "family"),
    [("RS256", Family.RS), ("PS256", Family.PS), ("ES256", Family.ES), ("ES384", Family.ES),
     ("EdDSA", Family.EDDSA), ("Ed25519", Family.EDDSA)],
)  # fmt: skip
async def test_each_family_verifies_with_its_keys(tmp_path: Path, alg: str, family: Family) -> None:
    """Also by the older of the two names that Ed25519 has."""
    # Given an issuer with pinned keys
    key = new_key(alg)
    (tmp_path / "keys").write_text(json.dumps(public(key)))
    issuer = Issuer(
        issuer=HOME, audience=AUDIENCE, family=family, jwks=str(tmp_path / "keys"),
        claims=ClaimRules(tenant=TenantId("acme")),
    )  # fmt: skip
    claims = {"iss": HOME, "aud": AUDIENCE, "sub": "x", "exp": 200}
    token = _signed(claims, key, alg)
    # When a token of it is shown, then it is taken
    async with open_issuers([issuer], production=True, now=lambda: 100) as issuers:
        assert (await issuers.principal_of(token)).tenant == "acme"


def _signed(claims: dict[str, Any], key: Any, alg: str) -> str:
    with pytest.warns() if alg == "EdDSA" else nullcontext():
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])


def weak() -> Any:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    with pytest.warns(UserWarning, match="2048"):
        return RSAKey.import_key(small, {"kid": "weak"})


PASSED_OVER = {
    "symmetric": lambda: OctKey.generate_key(256).as_dict(),
    "weak": lambda: weak().as_dict(private=False),
    "of another kind": lambda: ONE.as_dict(private=False),
    "for encryption": lambda: public(new_key("RS256"), use="enc")["keys"][0],
    "for other operations": lambda: public(new_key("RS256"), key_ops=["encrypt"])["keys"][0],
    "for another algorithm": lambda: public(new_key("RS256"), alg="PS256")["keys"][0],
    "with an id that is none": lambda: public(new_key("RS256"), kid=7)["keys"][0],
    "without its numbers": lambda: {"kty": "RSA", "kid": "x"},
    "with odd operations": lambda: public(new_key("RS256"), key_ops=7)["keys"][0],
    "not an object": lambda: 7,
}


@pytest.mark.parametrize("name", list(PASSED_OVER))
def test_what_cannot_verify_is_passed_over(name: str) -> None:
    """A set may hold other keys (RFC 7517, section 5); alone they are none."""
    entry = PASSED_OVER[name]()
    good = new_key("RS256")
    found = read_key_set({"keys": [entry, *public(good)["keys"]]}, Family.RS)
    assert list(found.named) == [good.kid]
    assert found.nameless == ()
    with pytest.raises(NotAKeySet):
        read_key_set({"keys": [entry]}, Family.RS)


def test_a_curve_for_key_agreement_does_not_sign() -> None:
    """X25519 has the same key type as Ed25519."""
    agreement = JWKRegistry.generate_key("OKP", "X25519")
    with pytest.raises(NotAKeySet):
        read_key_set(public(agreement), Family.EDDSA)


@pytest.mark.parametrize("document", [[], {}, {"keys": {}}, {"keys": []}, 7, None,
                                      {"keys": [1] * 101}])  # fmt: skip
def test_what_is_no_key_set_is_said_to_be_none(document: Any) -> None:
    """Whatever an issuer publishes, it ends in words."""
    with pytest.raises(NotAKeySet):
        read_key_set(document, Family.RS)


def test_a_token_without_a_key_id_can_only_mean_the_only_key() -> None:
    """Keys are not tried one after the other."""
    one = read_key_set(public(ONE), Family.ES)
    two = read_key_set(public(ONE, TWO), Family.ES)
    assert one.key(None) is not None
    assert two.key(None) is None
    assert two.key(TWO.kid) is not None


class Published:
    """What an issuer publishes, read by read; the last for ever."""

    def __init__(self, *answers: Keys | NotRead) -> None:
        self.answers: Iterator[Keys | NotRead] = chain(answers, repeat(answers[-1]))
        self.reads = 0

    async def __call__(self) -> Keys:
        self.reads += 1
        answer = next(self.answers)
        if isinstance(answer, NotRead):
            raise answer
        return answer


async def test_keys_that_are_no_longer_published_are_forgotten_in_the_background() -> None:
    """A key that was withdrawn is not believed for as long as the process lives."""
    first, then = (read_key_set(public(key), Family.ES) for key in (ONE, TWO))
    ring = KeyRing(HOME, Published(first, then), clock=lambda: 0, every=0.001)
    staying = asyncio.create_task(ring.stay_fresh())
    await eventually(lambda: ring.key(TWO.kid), what="the key that is published now")
    assert await ring.key(ONE.kid) is None
    await end(staying)


async def test_what_is_known_outlives_failures() -> None:
    """A set that cannot be read does not take the place of one that could."""
    known = read_key_set(public(ONE), Family.ES)
    published = Published(known, NotRead("away"))
    ring = KeyRing(HOME, published, clock=lambda: 0)
    assert await ring.refresh()
    assert not await ring.refresh()
    assert await ring.key(ONE.kid) is not None


async def test_pinned_keys_that_are_wrong_stop_the_start(tmp_path: Path) -> None:
    """A file that holds no key is a fault of the deployment, said with its name."""
    (tmp_path / "keys").write_text(json.dumps(KeySet([ONE]).as_dict(private=False)))
    issuer = Issuer(
        issuer=HOME, audience="x", family=Family.RS, jwks=str(tmp_path / "keys"),
        claims=ClaimRules(tenant=TenantId("acme")),
    )  # fmt: skip
    with pytest.raises(InvalidIssuers) as caught:
        async with open_issuers([issuer], production=True):
            pass
    assert "has no RSA key that verifies RS signatures" in str(caught.value.faults[0])
