"""The page of one task: where it stands, what happened to it, what can be done about it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.core.causes import Why
from taskyard.core.errors import TaskNotFound
from taskyard.core.principal import Scope
from taskyard.core.retention import why_absent
from taskyard.core.states import TERMINAL, UNSTARTED, State, may_become
from taskyard.core.task import Task, TaskId
from taskyard.services.place import Place, place_of
from taskyard.services.why import why_not_running
from taskyard.storage import task_logs
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import borrowed
from taskyard.storage.task_logs import LogLine
from taskyard.ui.frame import own, page, viewer
from taskyard.ui.task_actions import DONE, serve_actions
from taskyard.ui.timeline import timeline_of
from taskyard.ui.tree import tree_of
from taskyard.ui.yard import Yard


@dataclass(frozen=True, slots=True, kw_only=True)
class _Life:
    """A task with all that is known of it."""

    task: Task
    history: list[dict[str, Any]]
    lines: list[LogLine]
    place: Place | None
    why: Why | None


def serve_task(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the page, and what its forms do."""
    serve_actions(blueprint, yard)

    @blueprint.get("/tasks/<task>")
    async def task(task: str) -> Response:
        now = datetime.now(UTC)
        life = await _read(yard, _id(task), now)
        return await page(
            "task.html",
            task=life.task,
            history=life.history,
            lines=life.lines,
            place=life.place,
            why=life.why,
            timeline=timeline_of(life.history, now=now),
            trace=_trace(yard, life.task),
            args=tree_of(life.task.args),
            result=tree_of(life.task.result),
            ended=life.task.state in TERMINAL,
            may=_possible(life.task),
            done=DONE.get(request.args.get("done", "")),
        )


def _id(text: str) -> TaskId:
    try:
        return TaskId(UUID(text))
    except ValueError:
        raise TaskNotFound(f"there is no task {text[:64]!r}; ids are UUIDs") from None


async def _read(yard: Yard, wanted: TaskId, now: datetime) -> _Life:
    async with borrowed(own(yard.pool)) as connection:
        found = await tasks_table.get(connection, wanted, told=True)
        if found is None:
            raise why_absent(wanted, table=yard.table, now=now)
        history = await tasks_table.events(connection, wanted)
        lines = await task_logs.lines_after(connection, wanted, 0)
    tenant = viewer().principal.tenant
    place = await place_of(yard.pool, found, tenant=tenant, table=yard.table, now=now)
    why = await why_not_running(own(yard.pool), wanted, yard.waits) if _waits(found) else None
    return _Life(task=found, history=history, lines=lines, place=place, why=why)


def _trace(yard: Yard, task: Task) -> str | None:
    if yard.trace_url is None or task.trace_id is None:
        return None
    return yard.trace_url.replace("{trace_id}", task.trace_id)


def _waits(task: Task) -> bool:
    return task.state in UNSTARTED


def _possible(task: Task) -> frozenset[str]:
    """Return what the viewer may do about a task as it stands."""
    state, may = State(task.state), viewer().principal.may
    possible = {
        "cancel": state not in TERMINAL and may(Scope.CANCEL),
        "reprioritise": state in UNSTARTED and may(Scope.SUBMIT),
        "replay": state in TERMINAL and may_become(state, State.PENDING) and may(Scope.REPLAY),
    }
    return frozenset(name for name, so in possible.items() if so)
