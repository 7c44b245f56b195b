"""The page of parked events: what arrived and could not be used, why, and once more."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.events import EventKey, ParkReason
from taskyard.core.principal import Scope
from taskyard.services.event_filter import ParkedFilter
from taskyard.services.ingest import Ingest
from taskyard.services.parked_events import (
    ParkedReplayReport,
    ReplayParkedRequest,
    replay_one,
    replay_parked,
)
from taskyard.storage import parked
from taskyard.storage.bounded import Bounded
from taskyard.storage.pool import borrowed
from taskyard.ui.events_page import PAGE, as_pattern
from taskyard.ui.fields import Fields, Readers, as_id, as_instant, fields_of, one_of
from taskyard.ui.frame import own, page, redirect, require_whole_tenant, viewer
from taskyard.ui.yard import Yard

DONE = {
    "still": "It stays parked: for the reason that stands beside it now.",
    "parked": "Sent, and parked.",
}


def _match(text: str) -> dict[str, Any]:
    as_pattern(text)
    return {"match": text}


_READERS: Readers = {
    "reason": lambda text: {"reason": one_of(ParkReason)(text)},
    "match": _match,
    "source": lambda text: {"source": text},
    "after": lambda text: {"received_after": as_instant(text)},
    "before": lambda text: {"received_before": as_instant(text)},
    "older": lambda text: {"older": EventKey(as_id(text))},
}


def serve_parked(blueprint: Blueprint, yard: Yard) -> None:
    """Serve what is parked, and its replay."""

    @blueprint.get("/events/parked")
    async def list_parked() -> Response:
        require_whole_tenant(Scope.READ)
        asked = fields_of(request.args, _READERS)
        found = Bounded([], more=False) if asked.faults else await _found(yard, asked)
        return await page(
            "parked.html", 422 if asked.faults else 200, asked=asked, found=found.rows,
            older=found.rows[-1].key if found.more else None, reasons=list(ParkReason),
            may_replay=viewer().principal.may(Scope.REPLAY),
            done=DONE.get(request.args.get("done", "")),
        )  # fmt: skip

    @blueprint.post("/events/parked/<uuid:key>/replay")
    async def replay_one_parked(key: UUID) -> Response:
        require_whole_tenant(Scope.REPLAY)
        report = await replay_one(
            own(yard.pool), ingest_of(yard), yard.entry, EventKey(key), now=datetime.now(UTC)
        )
        if report.released:
            return redirect(f"/events/{key}?done=released")
        return redirect("/events/parked?done=still")

    @blueprint.get("/events/parked/replay")
    async def ask_replay_parked() -> Response:
        require_whole_tenant(Scope.REPLAY)
        asked = fields_of(request.args, _READERS)
        if asked.faults:
            return redirect(f"/events/parked?{asked.query()}")
        wish = ReplayParkedRequest(filter=_filter(asked), all=True, dry_run=True)
        return await _page(yard, asked, wish)

    @blueprint.post("/events/parked/replay")
    async def replay_many_parked() -> Response:
        require_whole_tenant(Scope.REPLAY)
        form = await request.form
        asked = fields_of(form, _READERS)
        if asked.faults:
            found = tuple(Fault(field, problem) for field, problem in asked.faults.items())
            raise InvalidRequest("the form has invalid fields", faults=found)
        return await _page(
            yard, asked, ReplayParkedRequest(filter=_filter(asked), all="all" in form)
        )


def ingest_of(yard: Yard) -> Ingest:
    """Return what takes events in for the viewer's tenant."""
    return Ingest(own(yard.pool), table=yard.table, catalog=yard.catalog)


def _filter(asked: Fields) -> ParkedFilter:
    return ParkedFilter(**{name: each for name, each in asked.wanted.items() if name != "older"})


async def _found(yard: Yard, asked: Fields) -> Bounded[parked.Parked]:
    older, wanted = asked.wanted.get("older"), _filter(asked).wanted()
    async with borrowed(own(yard.pool)) as connection:
        return await parked.page(connection, wanted, below=older, limit=PAGE)


async def _page(yard: Yard, asked: Fields, wish: ReplayParkedRequest) -> Response:
    told: ParkedReplayReport = await replay_parked(
        own(yard.pool), ingest_of(yard), yard.entry, wish, now=datetime.now(UTC)
    )
    return await page("replay_parked.html", asked=asked, told=told, done=not wish.dry_run)
