"""The dashboard's login on a running stack, as a browser sees it over HTTP."""

import re

import httpx

from tests.stack import Gateway


def test_whoever_starts_a_stack_can_log_in_with_its_key(yard: Gateway) -> None:
    """`taskyard up` makes the key of sessions; the admin key in its ready line opens the page."""
    with httpx.Client(base_url=yard.ready["api_url"], timeout=30) as browser:
        # Given a browser that is sent to the login
        page = browser.get("/", follow_redirects=True)
        assert page.url.path == "/login"
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found
        # When somebody logs in with the key of the stack
        form = {"csrf": found.group(1), "key": yard.ready["api_key"]}
        start = browser.post("/login", data=form, follow_redirects=True)
        # Then the page says who they are, and the session opens the API
        assert (start.status_code, start.url.path) == (200, "/")
        assert yard.ready["api_key"][:15] in start.text
        assert "admin" in browser.get("/me").text
        assert browser.get("/v1/tasks").status_code == 200
    assert httpx.get(yard.ready["api_url"] + "/v1/tasks").status_code == 401
