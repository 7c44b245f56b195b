"""The API over a real database and a real authorization server: tokens beside keys."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard import bootstrap
from taskyard.api.app import create_app
from taskyard.bootstrap.identity import open_identity
from taskyard.core.principal import DEFAULT_TENANT, Scope
from taskyard.services.keys import KeyWish
from taskyard.settings import Settings
from tests.application import open_parts
from tests.authorization import AUDIENCE, AuthorizationServer, Client, authorization_server

ISSUERS = """[[issuer]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = "ES"
tenant_claim = "org"
"""
CLIENTS = (
    Client(claims={"org": "acme"}),
    Client(id="reader", scope="read", claims={"org": "acme"}),
    Client(id="stranger", claims={"org": "beta"}),
)


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    with authorization_server(clients=CLIENTS) as running:
        yield running


def given(database_url: str, folder: Path, server: AuthorizationServer) -> Settings:
    (folder / "issuers.toml").write_text(ISSUERS.format(issuer=server.issuer, audience=AUDIENCE))
    return Settings(
        database_url=database_url, amqp_url="amqp://nobody@127.0.0.1/v", stores={},
        key_pepper=b"p" * 32, issuers=folder / "issuers.toml",
    )  # fmt: skip


@asynccontextmanager
async def api(given: Settings) -> AsyncIterator[HttpClient]:
    async with (
        open_parts(given.database_url) as parts,
        open_identity(given, parts.pool) as identity,
    ):
        yield create_app(replace(parts, **identity)).test_client()


def bearer(credential: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {credential}"}


async def submit(http: HttpClient, credential: str) -> Any:
    return await http.post("/v1/tasks", json={"type": "a.b"}, headers=bearer(credential))


async def test_tokens_are_taken_beside_keys(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """A token says for which tenant and what for; what it lacks is 403, what it is not 404."""
    settings = given(database_url, tmp_path, server)
    wish = KeyWish(
        tenant=DEFAULT_TENANT, name="k", scopes=frozenset({Scope.ADMIN}), created_by="tests"
    )
    key, _ = await bootstrap.create_key(settings, wish)
    async with api(settings) as http:
        # Given tasks that were submitted with a token and with a key
        accepted = await submit(http, server.token())
        assert accepted.status_code == 202
        task = (await accepted.get_json())["id"]
        assert (await submit(http, key)).status_code == 202
        # When others of the tenant and of another one come
        read = await http.get(f"/v1/tasks/{task}", headers=bearer(server.token("reader")))
        tried = await submit(http, server.token("reader"))
        elsewhere = await http.get(f"/v1/tasks/{task}", headers=bearer(server.token("stranger")))
        # Then each gets what the token says
        assert (read.status_code, tried.status_code, elsewhere.status_code) == (200, 403, 404)


async def test_a_forged_token_gets_401_and_a_challenge(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """RFC 6750, section 3: what was sent is not valid; what was not sent is asked for."""
    async with api(given(database_url, tmp_path, server)) as http:
        forged = await submit(http, server.token()[:-4] + "AAAA")
        nothing = await http.get("/v1/tasks")
    assert (forged.status_code, nothing.status_code) == (401, 401)
    assert forged.headers["WWW-Authenticate"] == 'Bearer realm="taskyard", error="invalid_token"'
    assert nothing.headers["WWW-Authenticate"] == 'Bearer realm="taskyard"'
    assert (await forged.get_json())["code"] == "unauthenticated"


async def test_an_issuer_that_is_away_gets_503_with_retry_after(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """The token may be good: it is to be sent again; keys are served meanwhile."""
    server.away = True
    async with api(given(database_url, tmp_path, server)) as http:
        answer = await submit(http, server.token())
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert (await answer.get_json())["code"] == "issuer-unavailable"
