"""/v1/tasks: read, list, cancel."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from quart import Blueprint, Response, request

from taskyard.api.parts import Parts
from taskyard.api.render import respond, task_view
from taskyard.api.request import from_cursor, task_id, to_cursor
from taskyard.api.views import CancelView, TaskPage
from taskyard.core.errors import Fault, InvalidRequest, TaskNotFound
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.services.cancel import Receipt, cancel
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import borrowed

PAGE = 50
LARGEST_PAGE = 500


class Filters(msgspec.Struct, kw_only=True):
    """The query parameters of a list, checked."""

    type: str | None = None
    state: State | None = None
    pool: str | None = None
    labels: dict[str, str] = {}
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = PAGE
    before: TaskId | None = None


def tasks_blueprint(parts: Parts) -> Blueprint:
    """Serve tasks."""
    blueprint = Blueprint("tasks", __name__)

    @blueprint.get("/v1/tasks/<task>")
    async def get(task: str) -> Response:
        wanted = task_id(task)
        async with borrowed(parts.pool) as connection:
            found = await tasks_table.get(connection, wanted)
        if found is None:
            raise TaskNotFound(f"there is no task {wanted}")
        return respond(task_view(found))

    @blueprint.get("/v1/tasks/<task>/events")
    async def events(task: str) -> Response:
        wanted = task_id(task)
        async with borrowed(parts.pool) as connection:
            history = await tasks_table.events(connection, wanted)
        if not history:
            raise TaskNotFound(f"there is no task {wanted}")
        return respond({"items": history})

    @blueprint.get("/v1/tasks")
    async def list_tasks() -> Response:
        filters = read_filters(request.args.items(multi=True))
        async with borrowed(parts.pool) as connection:
            found = await tasks_table.page(
                connection,
                before=filters.before,
                task_type=filters.type,
                state=filters.state,
                pool=filters.pool,
                labels=filters.labels,
                created_after=filters.created_after,
                created_before=filters.created_before,
                limit=filters.limit,
            )
        more = len(found) == filters.limit
        cursor = to_cursor(found[-1].id) if more else None
        return respond(TaskPage(items=[task_view(task) for task in found], next_cursor=cursor))

    @blueprint.post("/v1/tasks/<task>/cancel")
    async def cancel_task(task: str) -> Response:
        receipt, found = await cancel(parts.pool, task_id(task))
        status = 200 if receipt is Receipt.PREVENTED else 202
        return respond(CancelView(receipt=receipt, task=task_view(found)), status)

    return blueprint


def read_filters(given: Any) -> Filters:
    """Return the checked query parameters. Raises InvalidRequest with every fault."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, text in given:
        try:
            if name == "label":
                key, value = _label(text)
                values.setdefault("labels", {})[key] = value
            elif name not in _READERS:
                raise ValueError(f"is not a filter; there are label, {', '.join(_READERS)}")
            else:
                values["before" if name == "cursor" else name] = _READERS[name](text)
        except ValueError as error:
            faults.append(Fault(f"?{name}", str(error)))
    if faults:
        raise InvalidRequest("the query has invalid parameters", faults=tuple(faults))
    return Filters(**values)


def _label(text: str) -> tuple[str, str]:
    key, colon, value = text.partition(":")
    if not colon:
        raise ValueError("must be written key:value")
    return key, value


def _state(text: str) -> State:
    try:
        return State(text)
    except ValueError:
        raise ValueError(f"is {text!r}; a state is one of {', '.join(State)}") from None


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time in RFC 3339, such as 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError("has no time zone; end it with Z or an offset")
    return instant


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LARGEST_PAGE:
        raise ValueError(f"must be a whole number from 1 to {LARGEST_PAGE}")
    return int(text)


def _text(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


_READERS: dict[str, Callable[[str], Any]] = {
    "type": _text,
    "state": _state,
    "pool": _text,
    "created_after": _instant,
    "created_before": _instant,
    "limit": _limit,
    "cursor": from_cursor,
}
