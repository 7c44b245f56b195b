"""The frame of the dashboard's pages: who looks, what they see around a page, what goes wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from quart import Blueprint, Response, g, render_template, request

from taskyard.core.errors import Forbidden, TaskyardError
from taskyard.core.principal import Scope
from taskyard.storage.pool import OwnPool, Pool
from taskyard.ui.assets import serve_assets
from taskyard.ui.sessions import BrowserSessions, Session, require_csrf
from taskyard.ui.words import FILTERS

_ASSET = "dashboard.asset"


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    title: str
    path: str


# What exists, in the order of the navigation.
SECTIONS = (
    Section("Yard", "/"),
    Section("Pools", "/pools"),
    Section("Tasks", "/tasks"),
    Section("Dead letters", "/dead-letters"),
    Section("Events", "/events"),
    Section("Webhooks", "/webhooks"),
    Section("Charts", "/charts"),
)


def viewer() -> Session:
    """Return who looks; the frame has let them in."""
    return cast("Session", g.viewer)


def own(pool: Pool) -> OwnPool:
    """Return the pool that sees the viewer's rows and no others."""
    principal = viewer().principal
    return OwnPool(pool, principal.owner, principal.name)


def require(scope: Scope) -> None:
    """Raise Forbidden unless the viewer has a scope."""
    if not viewer().principal.may(scope):
        has = ", ".join(sorted(viewer().principal.scopes)) or "none"
        raise Forbidden(f"this needs the scope {scope!s}; yours: {has}")


def require_whole_tenant(scope: Scope) -> None:
    """Raise Forbidden unless the viewer has a scope, and is not limited to some task types."""
    require(scope)
    if viewer().principal.owner.patterns is not None:
        raise Forbidden("this is for who is not limited to some task types")


def framed_blueprint(
    sessions: BrowserSessions, status: Mapping[type[TaskyardError], int]
) -> Blueprint:
    """Return the blueprint that pages are added to: for who is logged in, and may read.

    What changes something needs the session's CSRF token in its form. `status` is what the API
    answers an error with; here it is a page.
    """
    blueprint = Blueprint("dashboard", __name__, template_folder="templates")
    assets = serve_assets(blueprint)

    @blueprint.before_request
    async def let_in() -> Response | None:
        if request.endpoint == _ASSET:
            return None
        if (session := await sessions.session_of(request)) is None:
            return redirect("/login")
        g.viewer = session
        if request.path == "/" and not session.principal.may(Scope.READ):
            return redirect("/me")
        require(Scope.READ)
        if request.method == "POST":
            require_csrf(session.csrf, (await request.form).get("csrf"))
        return None

    @blueprint.context_processor
    async def around() -> dict[str, Any]:
        return {
            "assets": assets, "sections": SECTIONS, "here": request.path,
            "viewer": g.get("viewer"), **FILTERS,
        }  # fmt: skip

    @blueprint.errorhandler(TaskyardError)
    async def refused(error: TaskyardError) -> Response:
        return await page("refused.html", status.get(type(error), 500), error=error)

    return blueprint


async def page(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page. What it shows is somebody's: no cache keeps it."""
    text = await render_template(template, **values)
    headers = {"Cache-Control": "no-store"}
    return Response(text, status, headers, content_type="text/html; charset=utf-8")


def redirect(url: str) -> Response:
    """Send the browser elsewhere, to be asked for with GET."""
    return Response("", 303, {"Location": url, "Cache-Control": "no-store"})
