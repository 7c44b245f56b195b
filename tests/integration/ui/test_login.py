"""ui/: people log in by key, see who they are, and log out."""

import re
from dataclasses import replace

import pytest

from taskyard.core.principal import Scope
from tests.browsing import application, csrf, given, log_in, make_key, session_of, text

INLINE = re.compile(
    r"<script(?! type=.module. src=)|<style|\sstyle=|\son\w+=|javascript:", re.IGNORECASE
)


async def test_a_person_logs_in_by_key_and_out(database_url: str) -> None:
    """The start page says who is logged in, for which tenant and what for; then it is closed."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        # Given somebody who is sent to the login
        first = await browser.get("/")
        assert (first.status_code, first.headers["Location"]) == (303, "/login")
        # When they log in with their key
        done = await log_in(browser, f"  {key} ")
        assert (done.status_code, done.headers["Location"]) == (303, "/")
        # Then the page names them, and the API and its documents can be read
        assert (await browser.get("/")).status_code == 200
        page = await text(await browser.get("/me"))
        for part in (key[:15], "acme", "read", "a.*", 'href="/docs"'):
            assert part in page
        assert key not in page
        assert (await browser.get("/v1/tasks")).status_code == 200
        assert (await browser.get("/login")).headers["Location"] == "/"
        # And when they log out, then nothing is open any more
        out = await browser.post("/logout", form={"csrf": await csrf(browser, "/")})
        assert (out.status_code, out.headers["Location"]) == (303, "/login")
        assert (await browser.get("/")).status_code == 303
        assert (await browser.get("/v1/tasks")).status_code == 401


async def test_another_key_or_none_opens_nothing(database_url: str) -> None:
    """The page says why, and what was typed does not come back."""
    settings = given(database_url)
    await make_key(settings, Scope.READ)
    async with application(settings) as app:
        for wrong in ("", "tk_", "<b>x</b>", f"tk_{'0' * 12}_{'0' * 64}"):
            browser = app.test_client()
            answer = await log_in(browser, wrong)
            assert answer.status_code == 403
            page = await text(answer)
            assert 'role="alert"' in page
            assert not wrong or f'value="{wrong}"' not in page
            assert "<b>x" not in page
            assert (await browser.get("/")).status_code == 303


async def test_a_login_is_another_session(database_url: str) -> None:
    """Whoever planted the session of before knows nothing of the one after."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        token = await csrf(browser)
        before = session_of(browser)
        await browser.post("/login", form={"csrf": token, "key": key})
        assert session_of(browser) != before
        assert await csrf(browser, "/") != token
        planted = app.test_client()
        planted.set_cookie("localhost", "taskyard", before)
        assert (await planted.get("/")).status_code == 303


async def test_a_form_of_another_session_changes_nothing(database_url: str) -> None:
    """Login and logout need the token of the very page that the browser was given."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        attacker, browser = app.test_client(), app.test_client()
        foreign = await csrf(attacker)
        # Given forged logins, without a session and with one
        for token in (foreign, "", None):
            form = {"key": key} if token is None else {"key": key, "csrf": token}
            assert (await browser.post("/login", form=form)).status_code == 403
            assert (await browser.get("/")).status_code == 303
        # And forged logouts of somebody who is logged in
        await log_in(browser, key)
        for token in (foreign, ""):
            assert (await browser.post("/logout", form={"csrf": token})).status_code == 403
        assert (await browser.get("/")).status_code == 200


async def test_the_api_takes_a_session_for_changes_only_with_its_token(database_url: str) -> None:
    """A page of another site can make a browser send the cookie, and not the header."""
    settings = given(database_url)
    key = await make_key(settings, Scope.SUBMIT, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        token = await csrf(browser, "/")
        task = {"type": "a.b"}
        assert (await browser.post("/v1/tasks", json=task)).status_code == 403
        wrong = {"X-CSRF-Token": token[:-1]}
        assert (await browser.post("/v1/tasks", json=task, headers=wrong)).status_code == 403
        right = {"X-CSRF-Token": token}
        assert (await browser.post("/v1/tasks", json=task, headers=right)).status_code == 202
        # What was shown in a header counts, whatever the cookie says
        bad = {"Authorization": "Bearer tk_nobody"}
        assert (await browser.get("/v1/tasks", headers=bad)).status_code == 401


async def test_a_session_may_what_its_key_may(database_url: str) -> None:
    """Scopes and task types are those of the key, at each request."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        header = {"X-CSRF-Token": await csrf(browser, "/")}
        answer = await browser.post("/v1/tasks", json={"type": "a.b"}, headers=header)
        assert (answer.status_code, (await answer.get_json())["code"]) == (403, "forbidden")


async def test_pages_are_closed_to_frames_scripts_and_guesses(database_url: str) -> None:
    """No page has anything inline, and each says so to the browser."""
    settings = given(database_url)
    key = await make_key(settings, Scope.READ)
    async with application(settings) as app:
        browser = app.test_client()
        pages = {"/login": await browser.get("/login")}
        await log_in(browser, key)
        for path in ("/", "/docs", "/problems/forbidden", "/tasks", "/tasks/17"):
            pages[path] = await browser.get(path)
        for path, page in pages.items():
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe" not in policy, path
            assert page.headers["X-Frame-Options"] == "DENY", path
            assert page.headers["X-Content-Type-Options"] == "nosniff", path
            assert page.headers["Referrer-Policy"] == "same-origin", path
            assert not INLINE.search(await text(page)), path
        assert pages["/login"].headers["Cache-Control"] == "no-store"
        assert pages["/"].headers["Cache-Control"] == "no-store"
        style = await browser.get("/style.css")
        assert style.mimetype == "text/css"
        assert "color-scheme" in await text(style)


OPEN_IN_PRODUCTION = {"/livez", "/readyz", "/login", "/style.css"}


async def test_production_serves_nobody_but_who_is_known(database_url: str) -> None:
    """Every route there is, and one that is not: 401, or the way to the login; no other word."""
    settings = given(database_url, mode="production")
    key = await make_key(settings, Scope.ADMIN)
    async with application(settings) as app:
        stranger, known = app.test_client(), {"Authorization": f"Bearer {key}"}
        rules = [
            (re.sub(r"<[^>]+>", "1", rule.rule), method)
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
        ]
        assert len(rules) > 30
        answers = {
            (path, method): await stranger.open(path, method=method)
            for path, method in [*rules, ("/nothing/here", "GET"), ("/v1/tasks", "DELETE")]
        }
        served = {path for (path, method), answer in answers.items() if answer.status_code == 200}
        assert served == OPEN_IN_PRODUCTION
        refused = {
            key: answer.status_code for key, answer in answers.items() if key[0] not in served
        }
        pages = {("/", "GET"): 303, ("/logout", "POST"): 303, ("/assets/1/1", "GET"): 404}
        pages |= {
            (re.sub(r"<[^>]+>", "1", rule.rule), method): 303
            for rule in app.url_map.iter_rules()
            for method in rule.methods or ()
            if rule.endpoint.startswith("dashboard.")
            if rule.endpoint != "dashboard.asset" and "<uuid:" not in rule.rule
        }
        pages["/me", "GET"] = 303
        assert refused == {key: pages.get(key, 401) for key in refused}
        # And who asks for a page with a browser is sent to the login
        browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        assert (await stranger.get("/docs", headers=browser)).headers["Location"] == "/login"
        # And who is known gets the same as ever
        for path, status in (("/docs", 200), ("/openapi.json", 200), ("/nothing/here", 404)):
            assert (await stranger.get(path, headers=known)).status_code == status
        assert "Secure" in (await stranger.get("/login")).headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/login", "/", "/style.css"])
async def test_without_a_session_key_there_are_no_pages(database_url: str, path: str) -> None:
    """A deployment that wants no dashboard has none."""
    settings = replace(given(database_url), session_keys=())
    async with application(settings) as app:
        answer = await app.test_client().get(path)
        assert answer.status_code == (200 if path == "/style.css" else 404)


async def test_who_may_not_read_is_shown_who_they_are(database_url: str) -> None:
    """Not a refusal, as the first thing after a login."""
    settings = given(database_url)
    key = await make_key(settings, Scope.SUBMIT)
    async with application(settings) as app:
        browser = app.test_client()
        await log_in(browser, key)
        assert (await browser.get("/")).headers["Location"] == "/me"
        assert "submit" in await text(await browser.get("/me"))
