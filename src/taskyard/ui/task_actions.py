"""What the forms on a task's page do: cancel, replay, reprioritise."""

from datetime import UTC, datetime
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.core.errors import Fault, InvalidRequest, TaskNotFound
from taskyard.core.principal import Scope
from taskyard.core.retention import why_absent
from taskyard.core.task import TaskId
from taskyard.services.cancel import Receipt, cancel
from taskyard.services.replay import ReplayRequest, replay
from taskyard.services.reprioritise import ReprioritiseRequest, reprioritise
from taskyard.ui.frame import own, redirect, require
from taskyard.ui.yard import Yard

# What a page says after an action; the address names it, so that nothing else can be said there.
DONE = {
    "prevented": "Cancelled: no further attempt of this task will run.",
    "interrupted": "It was asked to stop. It may still end in another way.",
    "replayed": "Replayed: it runs again, as another generation.",
    "reprioritised": "It has its new priority.",
}


def serve_actions(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the forms; each answers with the task's page."""

    @blueprint.post("/tasks/<uuid:task>/cancel")
    async def cancel_task(task: UUID) -> Response:
        require(Scope.CANCEL)
        try:
            receipt, _ = await cancel(own(yard.pool), TaskId(task))
        except TaskNotFound:
            raise why_absent(TaskId(task), table=yard.table, now=datetime.now(UTC)) from None
        return _to(task, "prevented" if receipt is Receipt.PREVENTED else "interrupted")

    @blueprint.post("/tasks/<uuid:task>/replay")
    async def replay_task(task: UUID) -> Response:
        require(Scope.REPLAY)
        await replay(
            own(yard.pool), TaskId(task), ReplayRequest(),
            table=yard.table, catalog=yard.catalog, entry=yard.entry, now=datetime.now(UTC),
        )  # fmt: skip
        return _to(task, "replayed")

    @blueprint.post("/tasks/<uuid:task>/reprioritise")
    async def reprioritise_task(task: UUID) -> Response:
        require(Scope.SUBMIT)
        wish = ReprioritiseRequest(priority=priority_of((await request.form).get("priority", "")))
        await reprioritise(
            own(yard.pool), TaskId(task), wish,
            publisher=yard.publisher, table=yard.table, now=datetime.now(UTC),
        )  # fmt: skip
        return _to(task, "reprioritised")


def priority_of(text: str) -> int:
    """Return the priority that a form gave. Raises InvalidRequest."""
    if len(text) != 1 or text not in "0123456789":
        fault = Fault("priority", "must be 0 to 9")
        raise InvalidRequest("the form has an invalid field", faults=(fault,))
    return int(text)


def _to(task: UUID, done: str) -> Response:
    return redirect(f"/tasks/{task}?done={done}")
