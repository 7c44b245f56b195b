"""What is done to all that a search of tasks finds: counted, confirmed, then done and told."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from quart import Blueprint, Response, request

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.principal import Scope
from taskyard.services.cancel_many import CancelManyRequest, cancel_many
from taskyard.services.many_tasks import ManyReport
from taskyard.services.replay_each import Today
from taskyard.services.replay_report import ReplayReport
from taskyard.services.replay_tasks import ReplayTasksRequest, replay_tasks
from taskyard.services.reprioritise_many import ReprioritiseManyRequest, reprioritise_many
from taskyard.storage.task_search import Search
from taskyard.ui import search
from taskyard.ui.fields import Readers, as_instant, as_priority, as_rate, read_fields
from taskyard.ui.frame import own, page, redirect, require, viewer
from taskyard.ui.search import Asked
from taskyard.ui.yard import Yard


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What was done to many tasks, or would be; of a replay also what was refused."""

    report: ManyReport
    replay: ReplayReport | None = None


# Does it, or only counts: to what a search finds, with what else the form says.
Doing = Callable[[Yard, Search, Mapping[str, Any], bool], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class _Way:
    """One thing that can be done to many tasks: who may, and how."""

    scope: Scope
    do: Doing


async def _cancel(yard: Yard, sought: Search, form: Mapping[str, Any], dry_run: bool) -> Outcome:
    wish = CancelManyRequest(all=form["all"], dry_run=dry_run)
    return Outcome(report=await cancel_many(own(yard.pool), sought, wish))


async def _reprioritise(
    yard: Yard, sought: Search, form: Mapping[str, Any], dry_run: bool
) -> Outcome:
    wish = ReprioritiseManyRequest(all=form["all"], dry_run=dry_run, priority=form["priority"])
    return Outcome(
        report=await reprioritise_many(own(yard.pool), sought, wish, publisher=yard.publisher)
    )


async def _replay(yard: Yard, sought: Search, form: Mapping[str, Any], dry_run: bool) -> Outcome:
    wish = ReplayTasksRequest(all=form["all"], dry_run=dry_run, rate=form.get("rate"))
    today = Today(table=yard.table, catalog=yard.catalog, entry=yard.entry, now=datetime.now(UTC))
    replayed, meant = await replay_tasks(own(yard.pool), sought, wish, today=today)
    report = ManyReport(
        count=replayed.count, states=meant.states, left=replayed.left, more=replayed.more,
        looked_at=meant.looked_at,
    )  # fmt: skip
    return Outcome(report=report, replay=replayed)


_WAYS = {
    "cancel": _Way(Scope.CANCEL, _cancel),
    "reprioritise": _Way(Scope.SUBMIT, _reprioritise),
    "replay": _Way(Scope.REPLAY, _replay),
}
_MORE: Readers = {
    "until": lambda text: {"until": as_instant(text)},
    "rate": lambda text: {"rate": as_rate(text)},
    "priority": lambda text: {"priority": as_priority(text)},
}


def possible() -> list[str]:
    """Return what the viewer may do to many tasks."""
    return [name for name, way in _WAYS.items() if viewer().principal.may(way.scope)]


def serve_many_tasks(blueprint: Blueprint, yard: Yard) -> None:
    """Serve what is asked before, and what is told after."""
    for name, way in _WAYS.items():
        _serve(blueprint, yard, name, way)


def _serve(blueprint: Blueprint, yard: Yard, name: str, way: _Way) -> None:
    @blueprint.get(f"/tasks/{name}", endpoint=f"ask_{name}")
    async def ask() -> Response:
        require(way.scope)
        asked = search.read(request.args)
        if asked.faults:
            return redirect(f"/tasks?{asked.query()}")
        _, more, _ = read_fields(request.args, _MORE)
        told = None
        if name != "reprioritise" or "priority" in more:  # else which one is asked for first
            told = await way.do(yard, asked.search, more | {"all": True}, True)
        return await _page(name, asked, told, done=False, priority=more.get("priority"))

    @blueprint.post(f"/tasks/{name}", endpoint=f"do_{name}")
    async def do() -> Response:
        require(way.scope)
        given = await request.form
        asked = search.read(given)
        _, more, faults = read_fields(given, _MORE)
        if wrong := {**asked.faults, **faults}:
            found = tuple(Fault(field, problem) for field, problem in wrong.items())
            raise InvalidRequest("the form has invalid fields", faults=found)
        form = more | {"all": "all" in given}
        told = await way.do(yard, _counted(asked.search, form), form, False)
        return await _page(name, asked, told, done=True, priority=more.get("priority"))


def _counted(sought: Search, form: Mapping[str, Any]) -> Search:
    """Return the search without what was submitted after the others had been counted."""
    # An empty search stays empty until it was said that all are meant.
    if "until" not in form or (sought == Search() and not form["all"]):
        return sought
    before = min(filter(None, (sought.created_before, form["until"])))
    return replace(sought, created_before=before)


async def _page(
    name: str, asked: Asked, told: Outcome | None, *, done: bool, priority: int | None
) -> Response:
    return await page(
        "many_tasks.html", name=name, asked=asked, told=told.report if told else None,
        replay=told.replay if told else None, done=done, priority=priority,
        given={field: text for field in search.FIELDS if (text := asked.given.get(field))},
    )  # fmt: skip
