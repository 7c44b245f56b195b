"""Who is let in, and to what: every operation names the scope that it asks for."""

import re

from quart import Quart, g, request

from taskyard.api.operation import Operation
from taskyard.api.operations import OPERATIONS
from taskyard.core.errors import Forbidden, Unauthenticated
from taskyard.core.principal import Principal, Scope
from taskyard.services.authenticate import Authenticator

# Documentation tells nothing of anybody's tasks. What is neither that nor an operation is for
# admins.
_OPEN = frozenset({"/openapi.json", "/asyncapi.json", "/docs", "/problems/{code}"})
_IN_RULE = re.compile(r"<(?:\w+:)?(\w+)>")
_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)  # RFC 6750, section 2.1


def register_auth(app: Quart, authenticator: Authenticator) -> None:
    """Let requests through to an operation only when its scope was granted."""
    operations = {(each.method.upper(), each.path): each for each in OPERATIONS}

    @app.before_request
    async def let_in() -> None:
        if request.url_rule is None:
            return  # there is nothing at this address
        path = _IN_RULE.sub(r"{\1}", request.url_rule.rule)
        method = "GET" if request.method == "HEAD" else request.method
        operation = operations.get((method, path))
        if path in _OPEN or (operation and operation.scope is None):
            return
        g.principal = principal = await authenticator.principal_of(_token())
        require(principal, operation)


def require(principal: Principal, operation: Operation | None) -> None:
    """Raise Forbidden unless a principal may do what an operation does."""
    scope = operation.scope if operation and operation.scope else Scope.ADMIN
    if not principal.may(scope):
        has = ", ".join(sorted(principal.scopes)) or "none"
        raise Forbidden(f"this needs the scope {scope!s}; yours: {has}")
    if operation and operation.whole_tenant and principal.owner.patterns is not None:
        raise Forbidden("this is for keys and tokens that are not limited to some task types")


def _token() -> str:
    values = request.headers.getlist("Authorization")
    if not values:
        raise Unauthenticated("no Authorization header; send Authorization: Bearer <API key>")
    if len(values) > 1 or (shown := _BEARER.fullmatch(values[0].strip())) is None:
        raise Unauthenticated("the Authorization header is not one Bearer credential")
    return shown.group(1)
