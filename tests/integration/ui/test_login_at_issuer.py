"""ui/ and identity/login.py: people log in at a real OpenID Connect server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from quart import Quart, Response
from quart.typing import TestClientProtocol as HttpClient

from taskyard.bootstrap.surroundings import issuers
from taskyard.core.errors import InvalidIssuers
from tests.authorization import AUDIENCE, AuthorizationServer, Client, authorization_server
from tests.browsing import application, given, text

HERE = "http://localhost"
CLIENT = Client(
    id="dashboard", secret="hunter2 & more", scope="openid", redirect_uri=f"{HERE}/login/done"
)
PUBLIC = Client(id="dashboard", secret="", scope="openid", redirect_uri=f"{HERE}/login/done")
ISSUERS = """[[issuer]]
issuer = "{issuer}"
audience = "{audience}"
algorithms = "ES"
tenant_claim = "org"
scopes = {{ operators = ["read", "cancel"] }}
login = {{ client_id = "dashboard", label = "Log in with Example", scopes_claim = "groups"{more} }}
"""


@pytest.fixture(params=[CLIENT, PUBLIC], ids=["with a secret", "public"])
def server(request: pytest.FixtureRequest) -> Iterator[AuthorizationServer]:
    with authorization_server(clients=(request.param,)) as running:
        running.id_token = {"org": "acme", "groups": ["operators", "staff"]}
        yield running


@asynccontextmanager
async def gateway(
    database_url: str, folder: Path, server: AuthorizationServer
) -> AsyncIterator[Quart]:
    """The application that trusts a server, over a real database."""
    secret = server.clients["dashboard"].secret
    more = ', client_secret_file = "secret"' if secret else ""
    (folder / "secret").write_text(secret)
    (folder / "issuers.toml").write_text(
        ISSUERS.format(issuer=server.issuer, audience=AUDIENCE, more=more)
    )
    settings = given(database_url, issuers=folder / "issuers.toml", public_url=HERE)
    async with application(settings) as app:
        yield app


async def begin(browser: HttpClient) -> str:
    """Follow the link on the login page; return where it leads."""
    assert 'href="/login/with/1">Log in with Example<' in await text(await browser.get("/login"))
    answer = await browser.get("/login/with/1")
    assert answer.status_code == 303
    return str(answer.headers["Location"])


def at_issuer(url: str) -> str:
    """Be recognised at the issuer; return where it sends the browser back to."""
    answer = httpx.get(url)
    assert answer.status_code == 302, answer.text
    return str(answer.headers["Location"])


async def back(browser: HttpClient, url: str) -> Response:
    """Come back from the issuer."""
    assert url.startswith(f"{HERE}/login/done?")
    return await browser.get(url.removeprefix(HERE))


async def refused(browser: HttpClient, answer: Response) -> str:
    """The reason on the page, after nobody was let in."""
    assert answer.status_code == 403
    assert (await browser.get("/")).status_code == 303
    return await text(answer)


async def test_a_person_logs_in_at_the_issuer(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """Tenant and scopes are what the ID token says, by the rules of the issuer."""
    async with gateway(database_url, tmp_path, server) as app:
        browser = app.test_client()
        # Given somebody who was sent to the issuer, with a challenge and no secret in the URL
        url = await begin(browser)
        asked = {name: value[0] for name, value in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256"
        assert (asked["response_type"], asked["scope"]) == ("code", "openid")
        assert len({asked["state"], asked["nonce"], asked["code_challenge"]}) == 3
        assert "hunter2" not in url
        # When they come back
        answer = await back(browser, at_issuer(url))
        # Then they are in
        assert (answer.status_code, answer.headers["Location"]) == (303, "/")
        page = await text(await browser.get("/me"))
        for part in (f"{server.issuer}#ada", "acme", "cancel, read"):
            assert part in page
        assert (await browser.get("/v1/tasks")).status_code == 200


async def test_what_comes_back_belongs_to_the_browser_that_began(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """Nobody can be made to log in as somebody else, and no code is good twice."""
    async with gateway(database_url, tmp_path, server) as app:
        attacker, browser = app.test_client(), app.test_client()
        theirs = at_issuer(await begin(attacker))
        # A browser that began nothing, and one that began another login
        assert "no login was begun" in await refused(browser, await back(browser, theirs))
        await begin(browser)
        assert "not begun in this browser" in await refused(browser, await back(browser, theirs))
        # A code of another login with the state of this one: the verifier does not fit
        mine = parse_qs(urlsplit(await begin(browser)).query)["state"][0]
        mixed = theirs.replace(parse_qs(urlsplit(theirs).query)["state"][0], mine)
        assert "did not confirm" in await refused(browser, await back(browser, mixed))
        # A code that was used
        url = at_issuer(await begin(browser))
        assert (await back(browser, url)).status_code == 303
        again = app.test_client()
        assert "no login was begun" in await refused(again, await back(again, url))


async def test_an_answer_of_another_issuer_is_not_taken(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """RFC 9207: who answers says who it is."""
    async with gateway(database_url, tmp_path, server) as app:
        browser = app.test_client()
        url = at_issuer(await begin(browser))
        forged = url.replace("127.0.0.1", "127.0.0.2")
        assert forged != url
        assert "not completed" in await refused(browser, await back(browser, forged))


async def test_who_says_no_at_the_issuer_is_not_let_in(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """And nothing that the issuer says of it is shown as if it were ours."""
    async with gateway(database_url, tmp_path, server) as app:
        browser = app.test_client()
        url = await begin(browser)
        server.person = None
        answered = at_issuer(url)
        assert "error=access_denied" in answered
        page = await refused(browser, await back(browser, answered + "&error_description=Boo"))
        assert "not completed" in page
        assert "Boo" not in page


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"nonce": "of another login"}, "does not belong to this login"),
        ({"azp": "somebody else"}, "does not belong to this login"),
        ({"at_hash": "AAAA"}, "does not belong to this login"),
        ({"aud": ["another"]}, "aud"),
        ({"aud": ["dashboard", "another"]}, "does not belong to this login"),
        ({"exp": 1}, "expired"),
        ({"iss": "https://id.example"}, "another issuer"),
        ({"org": None}, "tenant"),
        ({"org": "Acme!"}, "tenant"),
        ({"sub": ""}, "sub"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_an_id_token_that_is_not_for_this_login_lets_nobody_in(
    database_url: str, tmp_path: Path, wrong: dict[str, object], why: str
) -> None:
    """Nonce, authorized party, hash of the access token, and all that holds for any token."""
    with authorization_server(clients=(CLIENT,)) as server:
        server.id_token = {"org": "acme", **wrong}
        async with gateway(database_url, tmp_path, server) as app:
            browser = app.test_client()
            answer = await back(browser, at_issuer(await begin(browser)))
            assert why in await refused(browser, answer)


async def id_token_of(server: AuthorizationServer, answered: str) -> str:
    """Redeem a code in the place of the gateway, which alone knows the verifier."""
    code = parse_qs(urlsplit(answered).query)["code"][0]
    verifier = "v" * 43
    challenge = create_s256_code_challenge(verifier)
    server.codes[code] = replace(server.codes[code], code_challenge=challenge)
    form = {
        "grant_type": "authorization_code", "code": code, "code_verifier": verifier,
        "redirect_uri": CLIENT.redirect_uri,
    }  # fmt: skip
    async with httpx.AsyncClient(auth=("dashboard", "hunter2%20%26%20more")) as client:
        granted = await client.post(f"{server.issuer}/token", data=form)
    return str(granted.json()["id_token"])


async def test_an_id_token_is_no_access_token(database_url: str, tmp_path: Path) -> None:
    """What says who somebody is does not open the API."""
    with authorization_server(clients=(CLIENT,)) as server:
        server.id_token = {"org": "acme"}
        async with gateway(database_url, tmp_path, server) as app:
            browser = app.test_client()
            id_token = await id_token_of(server, at_issuer(await begin(browser)))
            shown = {"Authorization": f"Bearer {id_token}"}
            assert (await browser.get("/v1/tasks", headers=shown)).status_code == 401


async def test_an_issuer_that_is_away_is_said_to_be_away(
    database_url: str, tmp_path: Path, server: AuthorizationServer
) -> None:
    """With the other ways in still on the page."""
    async with gateway(database_url, tmp_path, server) as app:
        browser = app.test_client()
        server.metadata = {}
        answer = await browser.get("/login/with/1")
        assert answer.status_code == 503
        assert 'name="key"' in await text(answer)
        assert (await browser.get("/login/with/2")).status_code == 404
        assert (await browser.get("/login/with/0")).status_code == 404


def test_a_login_needs_to_know_where_it_is(tmp_path: Path) -> None:
    """The start says what is missing for it, all at once."""
    (tmp_path / "issuers.toml").write_text(
        ISSUERS.format(issuer="https://id.example", audience=AUDIENCE, more="")
    )
    settings = given("postgresql://nobody@127.0.0.1/x", issuers=tmp_path / "issuers.toml")
    with pytest.raises(InvalidIssuers) as caught:
        issuers(settings)
    assert [str(fault) for fault in caught.value.faults] == [
        "https://id.example: has a login, which needs TASKYARD_PUBLIC_URL"
    ]
