"""/v1/sessions: who is logged in with a browser, and ending it."""

from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.api.caller import caller
from taskyard.api.parts import Parts
from taskyard.api.query import PAGE, Readers, as_cursor, as_limit, as_text, read_query
from taskyard.api.render import respond
from taskyard.api.request import to_cursor
from taskyard.api.session_views import SessionPage, session_view
from taskyard.core.errors import SessionNotFound
from taskyard.core.principal import Principal, Scope
from taskyard.core.session import SessionId, Whose
from taskyard.services.end_sessions import end_sessions
from taskyard.storage import sessions as sessions_table
from taskyard.storage.pool import borrowed

_READERS: Readers = {"principal": as_text, "limit": as_limit, "cursor": as_cursor}


def sessions_blueprint(parts: Parts) -> Blueprint:
    """Serve sessions: those of the tenant to its admins, their own to all others."""
    blueprint = Blueprint("sessions", __name__)

    @blueprint.get("/v1/sessions")
    async def list_sessions() -> Response:
        given = read_query(request.args.items(multi=True), _READERS)
        limit, sought = given.get("limit", PAGE), given.get("principal")
        whose = _within_reach(caller(), principal=sought)
        if sought not in (None, whose.principal):
            return respond(SessionPage(items=[], next_cursor=None))
        async with borrowed(parts.pool) as connection:
            found = await sessions_table.page(
                connection, whose, before=given.get("before"), limit=limit
            )
        cursor = to_cursor(found[-1].id) if len(found) == limit else None
        return respond(SessionPage(items=[session_view(e) for e in found], next_cursor=cursor))

    @blueprint.delete("/v1/sessions/<session>")
    async def end(session: str) -> Response:
        whose = _within_reach(caller(), session_id=_session_id(session))
        async with borrowed(parts.pool) as connection:
            if not await end_sessions(connection, whose, actor=caller().name):
                raise SessionNotFound(f"you have no session {session[:64]!r}")
        return Response(status=204)

    return blueprint


def _within_reach(
    asks: Principal, *, principal: str | None = None, session_id: SessionId | None = None
) -> Whose:
    """Return what of it somebody may see and end: an admin all of the tenant, others their own."""
    everybodys = asks.may(Scope.ADMIN) and asks.owner.patterns is None
    return Whose(
        tenant=asks.tenant, principal=principal if everybodys else asks.name, id=session_id
    )


def _session_id(text: str) -> SessionId:
    try:
        return SessionId(UUID(text))
    except ValueError:
        raise SessionNotFound(f"there is no session {text[:64]!r}; ids are UUIDs") from None
