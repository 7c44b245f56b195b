"""GET /v1/audit: who did what in the caller's tenant."""

from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.api.audit_views import AuditPage, entry_view
from taskyard.api.caller import caller, own
from taskyard.api.parts import Parts
from taskyard.api.query import PAGE, Readers, as_cursor, as_limit, as_text, read_query
from taskyard.api.render import respond
from taskyard.api.request import to_cursor
from taskyard.core.audit import Action
from taskyard.storage import audit as audit_table
from taskyard.storage.audit import Sought
from taskyard.storage.pool import borrowed

_MOST = 2**63 - 1


def _as_action(text: str) -> Action:
    if text not in set(Action):
        raise ValueError(f"is {text[:40]!r}; an action is one of {', '.join(Action)}")
    return Action(text)


_READERS: Readers = {
    "actor": as_text,
    "action": _as_action,
    "target": as_text,
    "limit": as_limit,
    "cursor": as_cursor,
}


def audit_blueprint(parts: Parts) -> Blueprint:
    """Serve the audit log."""
    blueprint = Blueprint("audit", __name__)

    @blueprint.get("/v1/audit")
    async def list_entries() -> Response:
        given = read_query(request.args.items(multi=True), _READERS)
        limit, before = given.pop("limit", PAGE), given.pop("before", None)
        async with borrowed(own(parts)) as connection:
            found = await audit_table.page(
                connection,
                caller().tenant,
                Sought(**given),
                before=None if before is None else min(before.int, _MOST),
                limit=limit,
            )
        cursor = to_cursor(UUID(int=found[-1].seq)) if len(found) == limit else None
        return respond(AuditPage(items=[entry_view(each) for each in found], next_cursor=cursor))

    return blueprint
