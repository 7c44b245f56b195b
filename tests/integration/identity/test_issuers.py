"""identity/: tokens of a real authorization server become principals."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from joserfc import jwt

from taskyard.core.errors import IssuerUnavailable, Unauthenticated
from taskyard.core.issuer import ClaimRules, Family, Issuer
from taskyard.core.principal import Scope, TenantId
from taskyard.identity import Issuers, open_issuers
from tests.authorization import AUDIENCE, AuthorizationServer, Client, authorization_server

ACME = TenantId("acme")
FAMILIES = {"RS256": Family.RS, "ES256": Family.ES}  # what authlib signs access tokens with


def issuer_of(server: AuthorizationServer, **more: Any) -> Issuer:
    rules = more.pop("claims", ClaimRules(tenant=ACME))
    return Issuer(
        issuer=server.issuer, audience=AUDIENCE, family=FAMILIES[server.alg], claims=rules, **more
    )


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def trusting(server: AuthorizationServer, **more: Any) -> AsyncIterator[Issuers]:
    clock = more.pop("clock", Clock())
    async with open_issuers([issuer_of(server, **more)], production=False, clock=clock) as issuers:
        yield issuers


@pytest.mark.parametrize("alg", list(FAMILIES))
async def test_a_client_with_a_token_is_known_by_discovery(alg: str) -> None:
    """Whatever family the issuer signs with, its keys are found and its claims are read."""
    # Given an authorization server that is known by its name alone
    with authorization_server(alg) as server:
        async with trusting(server) as issuers:
            # When a client comes with a token from there
            found = await issuers.principal_of(server.token())
    # Then it is known, with what the token grants
    assert (found.tenant, found.patterns) == (ACME, ("#",))
    assert found.name == f"oidc:{server.issuer}#billing"
    assert found.scopes == {Scope.SUBMIT, Scope.READ}


async def test_claims_say_tenant_scopes_and_task_types() -> None:
    """Tenant, roles and patterns are read where the configuration says, however deep."""
    # Given a server that says who may do what in claims of its own
    claims = {
        "org": "beta",
        "realm": {"roles": ["runs", "offline", "sees"]},
        "types": "image.* report.#",
    }
    rules = ClaimRules(
        tenant_claim=("org",),
        tenants=frozenset({TenantId("beta")}),
        scopes_claim=("realm", "roles"),
        scopes={
            "runs": frozenset({Scope.SUBMIT, Scope.CANCEL}),
            "sees": frozenset({Scope.READ}),
        },
        patterns_claim=("types",),
    )
    with authorization_server(clients=(Client(claims=claims),)) as server:
        async with trusting(server, claims=rules) as issuers:
            # When its client comes
            found = await issuers.principal_of(server.token())
    # Then each was translated, and what means nothing here was passed over
    assert found.tenant == "beta"
    assert found.scopes == {Scope.SUBMIT, Scope.CANCEL, Scope.READ}
    assert found.patterns == ("image.*", "report.#")


async def test_a_token_without_scopes_is_valid_and_may_nothing() -> None:
    """Who it is and what it may do are two questions."""
    with authorization_server() as server:
        async with trusting(server) as issuers:
            assert (await issuers.principal_of(server.token(scope=""))).scopes == frozenset()


async def test_keys_rotate_while_it_runs() -> None:
    """A token signed with a new key is taken at once; one with the key that is gone is not."""
    with authorization_server() as server:
        clock = Clock()
        async with trusting(server, clock=clock) as issuers:
            # Given a token that was taken
            old = server.token()
            await issuers.principal_of(old)
            # When the issuer signs with another key, and a token of that comes a minute later
            server.rotate()
            clock.seconds += 61
            await issuers.principal_of(server.token())
            # Then it was taken, and the old key is not kept beside
            with pytest.raises(Unauthenticated):
                await issuers.principal_of(old)


async def test_unknown_keys_make_it_ask_once_a_minute() -> None:
    """Whoever invents key ids cannot make us flood the issuer, nor may they stop us from asking."""
    with authorization_server() as server:
        clock = Clock()
        async with trusting(server, clock=clock) as issuers:
            known = server.token()
            await issuers.principal_of(known)
            reads = server.reads
            clock.seconds += 61
            # When many tokens at once name a key that is not published
            published = server.keys
            server.rotate()
            stranger = server.token()
            server.keys = published
            answers = await asyncio.gather(
                *(issuers.principal_of(stranger) for _ in range(20)), return_exceptions=True
            )
            # Then all are refused, for one read of the keys, and the next minute has one more
            assert {type(answer) for answer in answers} == {Unauthenticated}
            assert server.reads == reads + 1
            for later, expected in ((59, 1), (2, 2), (30, 2)):
                clock.seconds += later
                with pytest.raises(Unauthenticated):
                    await issuers.principal_of(stranger)
                assert server.reads == reads + expected
            # And meanwhile those with a known key are served
            await issuers.principal_of(known)


async def test_who_hangs_up_does_not_end_the_reading_for_others() -> None:
    """A request that is cancelled while keys are read for it does not use up the minute."""
    with authorization_server() as server:
        clock = Clock()
        async with trusting(server, clock=clock) as issuers:
            await issuers.principal_of(server.token())
            server.rotate()
            clock.seconds += 61
            token = server.token()
            # Given a request that came first, and hangs up
            first = asyncio.ensure_future(issuers.principal_of(token))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            first.cancel()
            # When another comes with the new key
            found = await issuers.principal_of(token)
    # Then that is known all the same
    assert found.tenant == ACME


async def test_keys_are_kept_while_the_issuer_is_away() -> None:
    """An issuer that cannot be asked does not lock out those whose key is known."""
    with authorization_server() as server:
        clock = Clock()
        async with trusting(server, clock=clock) as issuers:
            token = server.token()
            await issuers.principal_of(token)
            # Given an issuer that no longer answers, and a token that makes us ask
            server.away = True
            published = server.keys
            server.rotate()
            clock.seconds += 61
            with pytest.raises(Unauthenticated):
                await issuers.principal_of(server.token())
            server.keys = published
            # Then the known key is still good
            assert (await issuers.principal_of(token)).tenant == ACME


async def test_an_issuer_away_from_the_start_is_said_to_be_away() -> None:
    """503 and not 401: the token may be good; and it is taken once the keys could be read."""
    with authorization_server() as server:
        clock = Clock()
        server.away = True
        async with trusting(server, clock=clock) as issuers:
            token = server.token()
            with pytest.raises(IssuerUnavailable):
                await issuers.principal_of(token)
            server.away = False
            clock.seconds += 61
            assert (await issuers.principal_of(token)).tenant == ACME


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "https://elsewhere.example"},
        {"jwks_uri": "http://192.0.2.1/keys"},
        {"jwks_uri": None},
        {"jwks_uri": "http://["},
    ],
)
async def test_metadata_that_is_not_the_issuers_own_is_not_believed(wrong: dict[str, Any]) -> None:
    """It must name the issuer itself, and keys are read over https, from this machine at most."""
    with authorization_server() as server:
        server.metadata = server.metadata | wrong
        async with trusting(server) as issuers:
            with pytest.raises(IssuerUnavailable):
                await issuers.principal_of(server.token())
        assert server.reads == 0


async def test_production_reads_no_keys_over_plain_http() -> None:
    """What loopback may in development is closed in production, whatever the metadata says."""
    with authorization_server() as server:
        issuers = [issuer_of(server)]
        async with open_issuers(issuers, production=True) as opened:
            with pytest.raises(IssuerUnavailable):
                await opened.principal_of(server.token())
        assert server.reads == 0


def with_certificate(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(
    ("name", "trusted", "taken"),
    [("127.0.0.1", True, True), ("127.0.0.1", False, False), ("id.example", True, False)],
    ids=["its authority", "another authority", "another name"],
)
async def test_keys_come_over_verified_tls(
    tmp_path: Path, name: str, trusted: bool, taken: bool
) -> None:
    """In production: by a certificate of the right authority for the right name, or not at all."""
    # Given an issuer with a certificate, and an authority that is trusted for it
    authority, other = trustme.CA(), trustme.CA()
    (authority if trusted else other).cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with authorization_server(tls=with_certificate(authority, name)) as server:
        issuer = issuer_of(server, ca_file=str(tmp_path / "ca.pem"))
        token = _signed_by(server)
        async with open_issuers([issuer], production=True) as issuers:
            # When a token comes, then its keys are read only if all of that is right
            if taken:
                assert (await issuers.principal_of(token)).tenant == ACME
            else:
                with pytest.raises(IssuerUnavailable):
                    await issuers.principal_of(token)
        assert bool(server.reads) is taken


def _signed_by(server: AuthorizationServer) -> str:
    (key,), moment = server.keys, int(time.time())
    claims = {"iss": server.issuer, "aud": AUDIENCE, "sub": "x", "exp": moment + 60}
    return jwt.encode({"alg": server.alg, "kid": key.kid, "typ": "at+jwt"}, claims, key)


async def test_redirects_are_not_followed() -> None:
    """Who may answer for the issuer cannot send us on to another address."""
    with authorization_server() as server:
        server.metadata["jwks_uri"] = f"{server.issuer}/moved"
        async with trusting(server) as issuers:
            with pytest.raises(IssuerUnavailable):
                await issuers.principal_of(server.token())
        assert server.reads == 0


async def test_a_document_without_end_is_not_read_to_its_end() -> None:
    """Half a MiB is more than any issuer has to say."""
    with authorization_server() as server:
        server.metadata["padding"] = "x" * 600_000
        async with trusting(server) as issuers:
            with pytest.raises(IssuerUnavailable):
                await issuers.principal_of(server.token())
        assert server.reads == 0


async def test_two_issuers_speak_each_for_their_own() -> None:
    """A token is held against the keys of the issuer it names, and gets that one's tenant."""
    with authorization_server() as one, authorization_server("RS256") as other:
        issuers = [
            issuer_of(one),
            issuer_of(other, claims=ClaimRules(tenant=TenantId("beta"))),
        ]
        async with open_issuers(issuers, production=False) as opened:
            assert (await opened.principal_of(one.token())).tenant == "acme"
            assert (await opened.principal_of(other.token())).tenant == "beta"


async def test_leeway_is_for_clocks_that_differ() -> None:
    """A token is taken a little after its end, and not a second longer."""
    with authorization_server() as server:
        token = server.token()
        issuer = replace(issuer_of(server), leeway=timedelta(seconds=30))
        for late, taken in ((-60, True), (25, True), (40, False)):
            moment = _expiry(token) + late
            async with open_issuers(
                [issuer], production=False, now=lambda moment=moment: moment
            ) as opened:
                if taken:
                    await opened.principal_of(token)
                else:
                    with pytest.raises(Unauthenticated, match="expired"):
                        await opened.principal_of(token)


async def test_a_token_that_was_taken_once_is_not_taken_for_ever() -> None:
    """It is remembered until it expires, or its key is withdrawn; not a moment longer."""
    with authorization_server() as server:
        token, clock = server.token(), Clock()
        now = [_expiry(token) - 60]
        issuer = replace(issuer_of(server), leeway=timedelta(0))
        async with open_issuers(
            [issuer], production=False, now=lambda: now[0], clock=clock
        ) as issuers:
            # Given a token that was taken, and is taken again without its key being looked for
            first = await issuers.principal_of(token)
            server.away = True
            assert await issuers.principal_of(token) is first
            # When it expires, then it is refused
            now[0] += 60
            with pytest.raises(Unauthenticated, match="expired"):
                await issuers.principal_of(token)
            # And when its key is withdrawn before, then it is refused as well
            now[0] -= 30
            await issuers.principal_of(token)
            server.away = False
            server.rotate()
            clock.seconds += 61
            await issuers.principal_of(server.token())
            with pytest.raises(Unauthenticated, match="key"):
                await issuers.principal_of(token)


def _expiry(token: str) -> float:
    from taskyard.identity.token import read

    return float(read(token).claims["exp"])
