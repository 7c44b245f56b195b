"""/v1/sessions: who is logged in, and ending it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope, TenantId
from taskyard.core.session import ByIssuer
from taskyard.services.sessions import Sessions
from taskyard.storage.pool import AsyncConnection
from tests.application import Keyring, client_of, open_parts

ISSUER = "https://id.example"


def principal(name: str, scope: Scope, *, tenant: str = "acme", types: str = "#") -> Principal:
    return Principal(
        tenant=TenantId(tenant), name=name, scopes=frozenset({scope}), patterns=(types,)
    )


KNOWN = {
    "ada": principal("ada", Scope.READ),
    "bob": principal("bob", Scope.READ),
    "chief": principal("chief", Scope.ADMIN),
    "cats": principal("ada", Scope.ADMIN, types="cat.*"),
    "stranger": principal("ada", Scope.ADMIN, tenant=DEFAULT_TENANT),
}


class Yard:
    """Ada has two sessions, Bob has one: all of one tenant."""

    def __init__(self, http: HttpClient, sessions: Sessions) -> None:
        self._http = http
        self.sessions = sessions

    async def ask(self, who: str, path: str, method: str = "GET") -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {who}"}
        answer = await self._http.open(path, method=method, headers=headers)
        return answer.status_code, await answer.get_json() if await answer.get_data() else None

    async def names(self, who: str, query: str = "") -> list[str]:
        status, page = await self.ask(who, f"/v1/sessions{query}")
        assert status == 200
        return [each["principal"] for each in page["items"]]


@pytest.fixture
async def yard(database_url: str) -> AsyncIterator[Yard]:
    async with open_parts(database_url, authenticator=Keyring(**KNOWN)) as parts:
        sessions = Sessions(parts.pool, issuers=(ISSUER,), clock=lambda: 0.0)
        for name, secret in (("ada", "a1"), ("ada", "a2"), ("bob", "secret of bob")):
            await sessions.begin(KNOWN[name], ByIssuer(ISSUER), secret)
        yield Yard(client_of(parts), sessions)


async def test_admins_see_all_of_their_tenant_and_others_their_own(yard: Yard) -> None:
    """So does an admin of some task types; nobody sees another tenant's."""
    assert await yard.names("chief") == ["bob", "ada", "ada"]
    assert await yard.names("chief", "?principal=ada") == ["ada", "ada"]
    assert await yard.names("ada") == await yard.names("cats") == ["ada", "ada"]
    assert await yard.names("ada", "?principal=bob") == []
    assert await yard.names("bob") == ["bob"]
    assert await yard.names("stranger") == []


async def test_a_session_is_shown_without_what_opens_it(
    yard: Yard, connection: AsyncConnection
) -> None:
    """Who, since when, until when; neither the secret nor its hash."""
    _, page = await yard.ask("bob", "/v1/sessions")
    [shown] = page["items"]
    assert (shown["principal"], shown["issuer"], shown["key"]) == ("bob", ISSUER, None)
    assert shown["began_at"] < shown["ends_at"]
    [(digest,)] = await (
        await connection.execute(
            "SELECT encode(digest, 'hex') FROM sessions WHERE principal = 'bob'"
        )
    ).fetchall()
    assert digest not in str(shown)
    assert "secret of bob" not in str(shown)


async def test_sessions_come_in_pages(yard: Yard) -> None:
    """Newest first, each once."""
    _, first = await yard.ask("chief", "/v1/sessions?limit=2")
    _, second = await yard.ask("chief", f"/v1/sessions?limit=2&cursor={first['next_cursor']}")
    found = [each["id"] for each in (*first["items"], *second["items"])]
    assert (len(found), found) == (3, sorted(found, reverse=True))
    assert second["next_cursor"] is None


async def test_each_ends_what_is_within_reach(yard: Yard) -> None:
    """One's own, or as an admin any of the tenant: it opens nothing any more, and is recorded."""
    _, page = await yard.ask("chief", "/v1/sessions")
    bobs, adas, _ = [each["links"]["self"] for each in page["items"]]
    # Given those who may not, and sessions that are none
    for who, path in (
        ("ada", bobs), ("cats", bobs), ("stranger", bobs), ("stranger", adas),
        ("chief", f"/v1/sessions/{uuid4()}"), ("chief", "/v1/sessions/x"),
    ):  # fmt: skip
        status, problem = await yard.ask(who, path, "DELETE")
        assert (status, problem["code"]) == (404, "session-not-found")
    assert await yard.names("chief") == ["bob", "ada", "ada"]
    # When Ada ends one of hers, and the admin Bob's
    assert (await yard.ask("ada", adas, "DELETE"))[0] == 204
    assert (await yard.ask("chief", bobs, "DELETE"))[0] == 204
    # Then they are over, and the other goes on
    secrets = ("a1", "a2", "secret of bob")
    known = [await yard.sessions.find(secret) for secret in secrets]
    assert [who and who.name for who in known] == ["ada", None, None]
    assert (await yard.ask("chief", bobs, "DELETE"))[0] == 404
    _, log = await yard.ask("chief", "/v1/audit?action=session.ended")
    assert [(each["actor"], each["detail"]["principal"]) for each in log["items"]] == [
        ("chief", "bob"), ("ada", "ada"),
    ]  # fmt: skip
