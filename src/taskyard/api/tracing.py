"""The span of a request: where the traces of callers come in, or begin."""

from quart import Quart, Response, g, request

from taskyard import tracing
from taskyard.api.auth import asked
from taskyard.core.trace import TraceContext


def register_tracing(app: Quart) -> None:
    """Trace what is written, and what is read by a caller who traces; where there is tracing."""
    if not tracing.is_on():
        return

    @app.before_request
    async def begin() -> None:
        _, route = asked()
        sent = _sent()
        if not route or not route.startswith("/v1/") or (sent is None and request.method == "GET"):
            g.span = tracing.enter(None)
            return
        g.span = tracing.enter(
            f"{request.method} {route}",
            parent=sent,
            kind="server",
            attributes={
                "http.request.method": request.method,
                "http.route": route,
                "url.path": request.path,
                "taskyard.request.id": g.get("request_id", ""),
            },
        )

    @app.after_request
    async def answer(response: Response) -> Response:
        if span := g.get("span"):
            span.set_attribute("http.response.status_code", response.status_code)
            if response.status_code >= 500:
                tracing.mark({}, fault=str(response.status_code))
        return response

    @app.teardown_request
    async def leave(_: BaseException | None) -> None:
        if span := g.get("span"):
            span.end()


def _sent() -> TraceContext | None:
    """Return the caller's trace. Two of them are none (W3C Trace Context, section 3.2.1)."""
    parents = request.headers.getlist("traceparent")
    if len(parents) != 1:
        return None
    # One list may come in several lines (section 3.3.1).
    states = ",".join(request.headers.getlist("tracestate"))
    return tracing.incoming(parents[0], states or None)
