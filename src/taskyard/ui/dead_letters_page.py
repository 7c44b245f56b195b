"""The page Dead letters: what went wrong, by its cause, and a replay of all that is alike."""

from datetime import UTC, datetime

from quart import Blueprint, Response, request

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.principal import Scope
from taskyard.core.states import State
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.replay_many import ReplayManyRequest, replay_many
from taskyard.services.replay_report import ReplayReport
from taskyard.storage import dead_letters
from taskyard.storage.dead_letters import ReasonGroup
from taskyard.storage.pool import borrowed
from taskyard.ui.fields import (
    Fields,
    Readers,
    as_instant,
    as_label,
    as_rate,
    fields_of,
    read_fields,
)
from taskyard.ui.frame import own, page, redirect, require, viewer
from taskyard.ui.yard import Yard

GROUPED = 2_000  # the newest; folding their messages takes a tenth of a second
_GROUPS = 100
STATES = (State.FAILED, State.EXPIRED, State.QUARANTINED)


def _state(text: str) -> State:
    if text not in STATES:
        raise ValueError(f"is none of {', '.join(STATES)}")
    return State(text)


_READERS: Readers = {
    "type": lambda text: {"type": text},
    "pool": lambda text: {"pool": text},
    "state": lambda text: {"state": _state(text)},
    "code": lambda text: {"code": text},
    "label": as_label,
    "after": lambda text: {"finished_after": as_instant(text)},
    "before": lambda text: {"finished_before": as_instant(text)},
}
_MORE: Readers = {
    "rate": lambda text: {"rate": as_rate(text)},
    "until": lambda text: {"until": as_instant(text)},
}


def serve_dead_letters(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the groups, and the replay of what is alike."""

    @blueprint.get("/dead-letters")
    async def dead_letters_by_cause() -> Response:
        asked = fields_of(request.args, _READERS)
        if dict(asked.given) != request.args.to_dict():
            return redirect(f"/dead-letters?{asked.query()}".rstrip("?"))
        groups = [] if asked.faults else await _groups(yard, asked)
        return await page(
            "dead_letters.html", 422 if asked.faults else 200, asked=asked, groups=groups,
            total=groups[0].total if groups else 0, grouped=GROUPED, states=STATES,
            pools=sorted(yard.table.pools), may_replay=viewer().principal.may(Scope.REPLAY),
            types=sorted(filter(viewer().principal.may_touch, yard.catalog.announced)),
        )  # fmt: skip

    @blueprint.get("/dead-letters/replay")
    async def ask_replay_dead_letters() -> Response:
        require(Scope.REPLAY)
        asked = fields_of(request.args, _READERS)
        if asked.faults:
            return redirect(f"/dead-letters?{asked.query()}")
        now = datetime.now(UTC)
        wish = ReplayManyRequest(filter=DeadLetterFilter(**asked.wanted), all=True, dry_run=True)
        return await _page(asked, await _replay(yard, wish, now), until=now)

    @blueprint.post("/dead-letters/replay")
    async def replay_dead_letters() -> Response:
        require(Scope.REPLAY)
        form = await request.form
        asked = fields_of(form, _READERS)
        _, more, faults = read_fields(form, _MORE)
        if wrong := {**asked.faults, **faults}:
            found = tuple(Fault(field, problem) for field, problem in wrong.items())
            raise InvalidRequest("the form has invalid fields", faults=found)
        wanted = dict(asked.wanted)
        # What failed after it was counted is another matter; all must still be said to be meant.
        if "until" in more and (wanted or "all" in form):
            before = wanted.get("finished_before") or more["until"]
            wanted["finished_before"] = min(before, more["until"])
        wish = ReplayManyRequest(filter=DeadLetterFilter(**wanted), rate=more.get("rate"))
        return await _page(asked, await _replay(yard, wish, datetime.now(UTC)), until=None)


async def _groups(yard: Yard, asked: Fields) -> list[ReasonGroup]:
    criteria = DeadLetterFilter(**asked.wanted).criteria()
    async with borrowed(own(yard.pool)) as connection:
        return await dead_letters.groups(connection, criteria, limit=_GROUPS, newest=GROUPED)


async def _replay(yard: Yard, wish: ReplayManyRequest, now: datetime) -> ReplayReport:
    return await replay_many(
        own(yard.pool), wish, table=yard.table, catalog=yard.catalog, entry=yard.entry, now=now
    )


async def _page(asked: Fields, told: ReplayReport, *, until: datetime | None) -> Response:
    """Ask whether it is meant, until when; without that, tell what was done."""
    return await page("replay_dead_letters.html", asked=asked, told=told, until=until)
