"""Pages: login, logout, and a start page that says who is logged in."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog
from quart import Blueprint, Response, abort, render_template, request

from taskyard.core.errors import Forbidden, TaskyardError, Unauthenticated, Unavailable
from taskyard.core.principal import Principal
from taskyard.identity import Logins
from taskyard.services.authenticate import Authenticator
from taskyard.ui.sessions import BrowserSessions, require_csrf

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The ways to log in: with what `keys` knows, or at an issuer."""

    sessions: BrowserSessions
    keys: Authenticator
    logins: Logins | None = None
    chance: Callable[[], str] = lambda: secrets.token_urlsafe(32)


def pages_blueprint(doors: Doors) -> Blueprint:
    """Serve the pages. Each looks itself whether somebody is logged in."""
    blueprint = Blueprint("ui", __name__, template_folder="templates")
    _serve_start(blueprint, doors)
    _serve_login_by_key(blueprint, doors)
    if doors.logins is not None:
        _serve_login_at_issuer(blueprint, doors, doors.logins)

    @blueprint.after_app_request
    async def keep_alive(response: Response) -> Response:
        """Who comes back stays logged in, up to the longest that a session lasts."""
        cookies = doors.sessions.cookies
        if (
            cookies.name in request.cookies
            and "Set-Cookie" not in response.headers
            and (session := cookies.read(request.cookies)) is not None
            and (renewed := cookies.renewed(session)) is not None
        ):
            cookies.write(response, renewed)
        return response

    return blueprint


def _serve_start(blueprint: Blueprint, doors: Doors) -> None:
    cookies = doors.sessions.cookies

    @blueprint.get("/")
    async def start() -> Response:
        session = cookies.read(request.cookies)
        principal = None if session is None else await doors.sessions.current(session)
        if session is None or principal is None:
            return _to("/login")
        page = await render_template("start.html", principal=principal, csrf=session.csrf)
        return _page(page)

    @blueprint.post("/logout")
    async def logout() -> Response:
        response = _to("/login")
        if (session := cookies.read(request.cookies)) is not None:
            require_csrf(session, (await request.form).get("csrf"))
        cookies.remove(response)
        return response


def _serve_login_by_key(blueprint: Blueprint, doors: Doors) -> None:
    @blueprint.get("/login")
    async def login() -> Response:
        if await doors.sessions.principal_of(request) is not None:
            return _to("/")
        return await _login_page(doors)

    @blueprint.post("/login")
    async def login_by_key() -> Response:
        form = await request.form
        try:
            require_csrf(doors.sessions.cookies.read(request.cookies), form.get("csrf"))
            principal = await doors.keys.principal_of(form.get("key", "").strip())
            # What it may do is asked anew with every request.
            return _let_in(doors, replace(principal, patterns=()))
        except (Unauthenticated, Forbidden, Unavailable) as error:
            return await _login_page(doors, error)


def _serve_login_at_issuer(blueprint: Blueprint, doors: Doors, logins: Logins) -> None:
    cookies = doors.sessions.cookies

    @blueprint.get("/login/with/<int:number>")
    async def begin(number: int) -> Response:
        issuers = list(logins.labels)
        if not 1 <= number <= len(issuers):
            abort(404)
        try:
            url, flow = await logins.begin(issuers[number - 1], doors.chance)
        except Unavailable as error:
            return await _login_page(doors, error)
        response = _to(url)
        cookies.write(response, cookies.begin(flow=flow))
        return response

    @blueprint.get("/login/done")
    async def done() -> Response:
        session = cookies.read(request.cookies)
        try:
            if session is None or session.flow is None:
                raise Unauthenticated("no login was begun in this browser, or long ago")
            return _let_in(doors, await logins.finish(session.flow, request.args))
        except (Unauthenticated, Forbidden, Unavailable) as error:
            return await _login_page(doors, error)


def _let_in(doors: Doors, principal: Principal) -> Response:
    log.info("logged in", principal=principal.name, tenant=principal.tenant)
    response = _to("/")
    doors.sessions.cookies.write(response, doors.sessions.cookies.begin(principal=principal))
    return response


async def _login_page(doors: Doors, error: TaskyardError | None = None) -> Response:
    """Show the ways in, and why the last one was refused."""
    if error is not None:
        log.warning("login refused", reason=error.detail)
    cookies = doors.sessions.cookies
    session = cookies.read(request.cookies)
    if session is None or session.principal is not None or session.flow is not None:
        session = cookies.begin()
    labels = [] if doors.logins is None else list(doors.logins.labels.values())
    text = await render_template("login.html", csrf=session.csrf, labels=labels, error=error)
    refused = 503 if isinstance(error, Unavailable) else 403
    response = _page(text, 200 if error is None else refused)
    cookies.write(response, session)
    return response


def _page(text: str, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(text, status, headers, content_type="text/html; charset=utf-8")


def _to(url: str) -> Response:
    # See Other: whatever was sent here is not sent there (RFC 9110, section 15.4.4).
    return Response("", 303, {"Location": url, "Cache-Control": "no-store"})
