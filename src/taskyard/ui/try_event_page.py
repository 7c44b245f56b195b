"""The page to try an event out: what the rules of today would make of it; and to send it."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec
from quart import Blueprint, Response, request
from uuid_utils.compat import uuid7

from taskyard.core.events import Event, EventKey, NotAnEvent
from taskyard.core.principal import Scope
from taskyard.services.cloudevents import decode
from taskyard.services.event_document import to_event
from taskyard.services.event_entry import require_room
from taskyard.services.inbox import Incoming
from taskyard.ui.frame import own, page, redirect, require_whole_tenant, viewer
from taskyard.ui.parked_page import ingest_of
from taskyard.ui.tree import tree_of
from taskyard.ui.yard import Yard

_BEGINS = {"type": "", "source": "/dashboard", "id": "", "subject": "", "data": "{}"}


def serve_try_event(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the form, what would become of an event, and what did."""

    @blueprint.get("/events/try")
    async def begin_event() -> Response:
        require_whole_tenant(Scope.READ)
        return await _page(yard, _BEGINS)

    @blueprint.post("/events/try")
    async def try_event() -> Response:
        require_whole_tenant(Scope.READ)
        form = await request.form
        given = {name: form.get(name, "").strip() for name in _BEGINS}
        given["id"] = given["id"] or str(uuid7())
        try:
            event = _event(given)
        except NotAnEvent as error:
            return await _page(yard, given, fault=error.detail)
        incoming = ingest_of(yard).consider(event, key=EventKey(uuid7()), now=datetime.now(UTC))
        if "send" not in form:
            return await _page(yard, given, tried=incoming)
        require_whole_tenant(Scope.SUBMIT)
        return await _send(yard, incoming)


def _event(given: Mapping[str, str]) -> Event:
    """Return the event of a form. Raises NotAnEvent."""
    document = {name: given[name] for name in ("type", "source", "id", "subject") if given[name]}
    data = {"data": decode(given["data"].encode())} if given["data"] else {}
    return to_event({"specversion": "1.0", **document, **data})


async def _send(yard: Yard, incoming: Incoming) -> Response:
    await require_room(own(yard.pool), yard.entry, [incoming])
    came = await ingest_of(yard).take_in([incoming])
    if incoming.key in came.tasks:
        return redirect(f"/events/{incoming.key}?done=sent")
    if before := came.before.get((incoming.event.source, incoming.event.id)):
        return redirect(f"/events/{before.key}?done=again")
    return redirect("/events/parked?done=parked")


async def _page(
    yard: Yard, given: Mapping[str, str], *, tried: Incoming | None = None, fault: str = ""
) -> Response:
    fired = [
        (each, tree_of(msgspec.json.decode(each.task.args)))
        for each in (tried.decision.fired if tried else ())
    ]
    return await page(
        "try_event.html", 422 if fault else 200, given=given, fault=fault, fired=fired,
        decision=tried.decision if tried else None, rules=yard.table.events.rules,
        may_send=viewer().principal.may(Scope.SUBMIT),
    )  # fmt: skip
