"""Pages: login, logout, and a start page that says who is logged in."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from quart import Blueprint, Response, abort, render_template, request

from taskyard.core.errors import Forbidden, TaskyardError, Unauthenticated, Unavailable
from taskyard.core.principal import Principal
from taskyard.core.session import ByIssuer, ByKey, Way
from taskyard.identity import Logins
from taskyard.services.keys import ApiKeys, prefix_of
from taskyard.services.refused_logins import BY_KEY, RefusedLogins
from taskyard.ui.sessions import BrowserSessions, require_csrf

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """The ways to log in: with what `keys` knows, or at an issuer."""

    sessions: BrowserSessions
    keys: ApiKeys
    refused: RefusedLogins
    logins: Logins | None = None
    chance: Callable[[], str] = lambda: secrets.token_urlsafe(32)


def pages_blueprint(doors: Doors) -> Blueprint:
    """Serve the pages. Each looks itself whether somebody is logged in."""
    blueprint = Blueprint("ui", __name__, template_folder="templates")
    _serve_start(blueprint, doors)
    _serve_login_by_key(blueprint, doors)
    if doors.logins is not None:
        _serve_login_at_issuer(blueprint, doors, doors.logins)
    return blueprint


def _serve_start(blueprint: Blueprint, doors: Doors) -> None:
    @blueprint.get("/me")
    async def me() -> Response:
        if (session := await doors.sessions.session_of(request)) is None:
            return _to("/login")
        page = await render_template("start.html", principal=session.principal, csrf=session.csrf)
        return _page(page)

    @blueprint.post("/logout")
    async def logout() -> Response:
        response = _to("/login")
        if (session := await doors.sessions.session_of(request)) is not None:
            require_csrf(session.csrf, (await request.form).get("csrf"))
        await doors.sessions.end(request, response)
        return response


def _serve_login_by_key(blueprint: Blueprint, doors: Doors) -> None:
    cookies = doors.sessions.cookies

    @blueprint.get("/login")
    async def login() -> Response:
        if await doors.sessions.session_of(request) is not None:
            return _to("/")
        return await _login_page(doors)

    @blueprint.post("/login")
    async def login_by_key() -> Response:
        form = await request.form
        visit, key = cookies.read_visit(request.cookies), form.get("key", "").strip()
        try:
            require_csrf(None if visit is None else visit.csrf, form.get("csrf"))
            principal = await doors.keys.principal_of(key)
            return await _let_in(doors, principal, ByKey(prefix_of(key) or ""))
        except Unauthenticated as error:
            doors.refused.count(BY_KEY, error.detail, key=prefix_of(key))
            return await _login_page(doors, error)
        except (Forbidden, Unavailable) as error:
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
        cookies.write_visit(response, cookies.begin_visit(flow=flow))
        return response

    @blueprint.get("/login/done")
    async def done() -> Response:
        visit = cookies.read_visit(request.cookies)
        flow = None if visit is None else visit.flow
        try:
            if flow is None:
                raise Unauthenticated("no login was begun in this browser, or long ago")
            principal = await logins.finish(flow, request.args)
            return await _let_in(doors, principal, ByIssuer(flow.issuer))
        except Unauthenticated as error:
            doors.refused.count("issuer" if flow is None else flow.issuer, error.detail)
            return await _login_page(doors, error)
        except (Forbidden, Unavailable) as error:
            return await _login_page(doors, error)


async def _let_in(doors: Doors, principal: Principal, way: Way) -> Response:
    response = _to("/")
    await doors.sessions.begin(request, response, principal, way)
    log.info("logged in", principal=principal.name, tenant=principal.tenant)
    return response


async def _login_page(doors: Doors, error: TaskyardError | None = None) -> Response:
    """Show the ways in, and why the last one was refused."""
    if error is not None:
        log.warning("login refused", reason=error.detail)
    cookies = doors.sessions.cookies
    visit = cookies.read_visit(request.cookies)
    if visit is None or visit.flow is not None:
        visit = cookies.begin_visit()
    labels = [] if doors.logins is None else list(doors.logins.labels.values())
    text = await render_template("login.html", csrf=visit.csrf, labels=labels, error=error)
    refused = 503 if isinstance(error, Unavailable) else 403
    response = _page(text, 200 if error is None else refused)
    cookies.write_visit(response, visit)
    return response


def _page(text: str, status: int = 200) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(text, status, headers, content_type="text/html; charset=utf-8")


def _to(url: str) -> Response:
    # See Other: whatever was sent here is not sent there (RFC 9110, section 15.4.4).
    return Response("", 303, {"Location": url, "Cache-Control": "no-store"})
