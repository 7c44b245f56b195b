"""X-Request-Id: a request has a name, in the answer and in every line of the log it leads to."""

import re
from uuid import uuid4

from quart import Quart, Response, g, request
from structlog.contextvars import bind_contextvars, unbind_contextvars

HEADER = "X-Request-Id"
# What proxies and tracers make; anything else could forge lines of a log, or fill it.
_SANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")


def request_id_of(values: list[str]) -> str:
    """Return the caller's name for its request if it is sane, else a new one."""
    if len(values) == 1 and _SANE.fullmatch(values[0]):
        return values[0]
    return uuid4().hex


def register_request_ids(app: Quart) -> None:
    """Bind the id of each request, and of the task it is about, to what is logged meanwhile."""

    @app.before_request
    async def name() -> None:
        g.request_id = request_id_of(request.headers.getlist(HEADER))
        bound = {"request_id": g.request_id, "method": request.method, "path": request.path}
        if task := (request.view_args or {}).get("task"):
            bound["task_id"] = str(task)
        unbind_contextvars("task_id")  # of a request before it on the same connection
        bind_contextvars(**bound)

    @app.after_request
    async def tell(response: Response) -> Response:
        if "request_id" in g:
            response.headers[HEADER] = g.request_id
        return response
