"""The page Events: what arrived, and what became of it."""

from dataclasses import replace
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.core import topics
from taskyard.core.errors import EventNotFound
from taskyard.core.events import EventKey, EventState
from taskyard.core.principal import Scope
from taskyard.services.event_filter import first_key
from taskyard.storage import inbox
from taskyard.storage.bounded import Bounded
from taskyard.storage.inbox import StoredEvent, Wanted
from taskyard.storage.pool import borrowed
from taskyard.ui.fields import Fields, Readers, as_id, as_instant, fields_of, one_of
from taskyard.ui.frame import own, page, redirect, require_whole_tenant, viewer
from taskyard.ui.tree import tree_of
from taskyard.ui.yard import Yard

PAGE = 50
# What a page says after an action; the address names it, so that nothing else can be said there.
DONE = {
    "sent": "Sent: this became of it.",
    "again": "An event of this source with this id was there before: this became of it.",
    "released": "Looked at again: it is parked no more.",
}


def as_pattern(text: str) -> str:
    """Read a topic pattern on the type of an event; return how the database matches it."""
    if problem := topics.problem(text):
        raise ValueError(problem)
    return topics.as_regex(text)


_READERS: Readers = {
    "match": lambda text: {"matching": as_pattern(text)},
    "source": lambda text: {"source": text},
    "subject": lambda text: {"subject": text},
    "state": lambda text: {"state": one_of(EventState)(text)},
    "after": lambda text: {"since": first_key(as_instant(text))},
    "before": lambda text: {"until": first_key(as_instant(text))},
    "older": lambda text: {"older": EventKey(as_id(text))},
}


def serve_events(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the log, and one event."""

    @blueprint.get("/events")
    async def list_events() -> Response:
        require_whole_tenant(Scope.READ)
        asked = fields_of(request.args, _READERS)
        if dict(asked.given) != request.args.to_dict():
            return redirect(f"/events?{asked.query()}".rstrip("?"))
        found = Bounded([], more=False) if asked.faults else await _found(yard, asked)
        return await page(
            "events.html", 422 if asked.faults else 200, asked=asked, found=found.rows,
            older=found.rows[-1].key if found.more else None, states=list(EventState),
        )  # fmt: skip

    @blueprint.get("/events/<uuid:key>")
    async def event(key: UUID) -> Response:
        require_whole_tenant(Scope.READ)
        async with borrowed(own(yard.pool)) as connection:
            found = await inbox.get(connection, EventKey(key))
        if found is None:
            raise EventNotFound(f"there is no event {key}")
        return await page(
            "event.html", event=found, document=tree_of(found.document),
            tasks=inbox.event_tasks(found.tasks), parked=found.state == EventState.PARKED,
            done=DONE.get(request.args.get("done", "")),
            may_replay=viewer().principal.may(Scope.REPLAY),
        )  # fmt: skip


async def _found(yard: Yard, asked: Fields) -> Bounded[StoredEvent]:
    wanted = dict(asked.wanted)
    older = wanted.pop("older", None)
    async with borrowed(own(yard.pool)) as connection:
        found = await inbox.page(connection, Wanted(**wanted), below=older, limit=PAGE)
    return replace(found, rows=[replace(each, tasks=each.tasks[:20]) for each in found.rows])
