"""Who is let in, and to what: every operation names the scope that it asks for."""

import re
from collections.abc import Callable
from typing import Protocol

from quart import Quart, Request, Response, g, request

from taskyard.api.operation import Operation
from taskyard.api.operations import OPERATIONS
from taskyard.core.errors import Forbidden, Unauthenticated
from taskyard.core.principal import Principal, Scope
from taskyard.services.authenticate import Authenticator

# Documentation tells nothing of anybody's tasks, and neither does what does not exist (""). What is
# neither of them nor an operation is for admins.
_FOR_ALL = frozenset({"", "/openapi.json", "/asyncapi.json", "/docs", "/problems/{code}"})
_OPEN = frozenset({"/style.css"})
_METRICS = "/metrics"
_PAGES = frozenset({"ui", "dashboard"})  # blueprints that look themselves who is logged in
_IN_RULE = re.compile(r"<(?:\w+:)?(\w+)>")
_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)  # RFC 6750, section 2.1


class Sessions(Protocol):
    """What knows who is logged in in a browser."""

    async def principal_of(self, request: Request) -> Principal | None:
        """Return who is logged in, if anybody is. Raises Forbidden for a forged request."""


def register_auth(
    app: Quart,
    authenticator: Authenticator,
    sessions: Sessions | None = None,
    *,
    production: bool = False,
    may_scrape: Callable[[Request], bool] = lambda _: False,
) -> None:
    """Let requests through to an operation only when its scope was granted.

    In production nobody who is not known gets more than probes and login, not even a 404.
    """
    operations = {(each.method.upper(), each.path): each for each in OPERATIONS}

    @app.before_request
    async def let_in() -> Response | None:
        method, path = asked()
        operation = operations.get((method, path))
        if path in _OPEN or (operation and operation.scope is None) or request.blueprint in _PAGES:
            return None
        if path == _METRICS and may_scrape(request):
            return None
        if (for_all := path in _FOR_ALL) and not production:
            return None
        try:
            g.principal = principal = await _known(authenticator, sessions)
        except Unauthenticated:
            if sessions is not None and _is_a_person():
                return Response("", 303, {"Location": "/login", "Cache-Control": "no-store"})
            raise
        if not for_all:
            require(principal, operation)
        return None


def require(principal: Principal, operation: Operation | None) -> None:
    """Raise Forbidden unless a principal may do what an operation does."""
    scope = operation.scope if operation and operation.scope else Scope.ADMIN
    if not principal.may(scope):
        has = ", ".join(sorted(principal.scopes)) or "none"
        raise Forbidden(f"this needs the scope {scope!s}; yours: {has}")
    if operation and operation.whole_tenant and principal.owner.patterns is not None:
        raise Forbidden("this is for keys and tokens that are not limited to some task types")


def asked() -> tuple[str, str]:
    """Return method and path as operations have them; no path, if there is nothing there."""
    path = "" if request.url_rule is None else _IN_RULE.sub(r"{\1}", request.url_rule.rule)
    return "GET" if request.method == "HEAD" else request.method, path


async def _known(authenticator: Authenticator, sessions: Sessions | None) -> Principal:
    if sessions is not None and "Authorization" not in request.headers:
        principal = await sessions.principal_of(request)
        if principal is not None:
            return principal
    return await authenticator.principal_of(_token())


def _is_a_person() -> bool:
    """Return whether a browser asks for a page, and not a program for an answer."""
    wanted = request.accept_mimetypes.best_match(["application/json", "text/html"])
    return request.method == "GET" and wanted == "text/html"


def _token() -> str:
    values = request.headers.getlist("Authorization")
    if not values:
        raise Unauthenticated("no Authorization header; send Authorization: Bearer <API key>")
    if len(values) > 1 or (shown := _BEARER.fullmatch(values[0].strip())) is None:
        raise Unauthenticated("the Authorization header is not one Bearer credential")
    return shown.group(1)
