"""/v1/tasks: read, list, cancel."""

from datetime import UTC, datetime

import msgspec
from quart import Blueprint, Response, request

from taskyard.api.caller import caller, own
from taskyard.api.pages import page_view
from taskyard.api.parts import Parts
from taskyard.api.place import place_view
from taskyard.api.prefer import wait_asked
from taskyard.api.query import (
    PAGE,
    Readers,
    as_cursor,
    as_instant,
    as_limit,
    as_text,
    one_of,
    read_query,
)
from taskyard.api.render import respond, respond_tagged, task_view
from taskyard.api.request import task_id
from taskyard.api.views import CancelView
from taskyard.core.errors import TaskNotFound
from taskyard.core.retention import why_absent
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.services.cancel import Receipt, cancel
from taskyard.services.place import place_of
from taskyard.services.waiting import at_its_end
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import borrowed
from taskyard.storage.task_pages import Page
from taskyard.storage.task_search import Search, find


class Filters(msgspec.Struct, kw_only=True):
    """The query parameters of a list, checked."""

    type: str | None = None
    state: State | None = None
    pool: str | None = None
    error: str | None = None
    labels: dict[str, str] = {}
    created_after: datetime | None = None
    created_before: datetime | None = None
    limit: int = PAGE
    before: TaskId | None = None

    def search(self) -> Search:
        """Return the same for the database, without the page."""
        return Search(
            type=self.type,
            state=self.state,
            pool=self.pool,
            labels=self.labels,
            error=self.error,
            created_after=self.created_after,
            created_before=self.created_before,
        )


def tasks_blueprint(parts: Parts) -> Blueprint:
    """Serve tasks."""
    blueprint = Blueprint("tasks", __name__)

    @blueprint.get("/v1/tasks/<task>")
    async def get(task: str) -> Response:
        wanted = task_id(task)
        if seconds := wait_asked():
            found = await at_its_end(own(parts), parts.waiting, wanted, seconds=seconds)
        else:
            async with borrowed(own(parts)) as connection:
                found = await tasks_table.get(connection, wanted)
        if found is None:
            raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
        now = datetime.now(UTC)
        place = await place_of(
            parts.pool, found, tenant=caller().tenant, table=parts.table, now=now
        )
        return respond_tagged(task_view(found, place_view(place, now=now) if place else None))

    @blueprint.get("/v1/tasks")
    async def list_tasks() -> Response:
        filters = Filters(**read_query(request.args.items(multi=True), _READERS))
        ids = await find(own(parts), filters.search(), before=filters.before, limit=filters.limit)
        async with borrowed(own(parts)) as connection:
            page = await tasks_table.these(connection, [task_id for task_id, _ in ids])
        return respond(page_view(Page(page.tasks, page.more or len(ids) == filters.limit)))

    @blueprint.post("/v1/tasks/<task>/cancel")
    async def cancel_task(task: str) -> Response:
        wanted = task_id(task)
        try:
            receipt, found = await cancel(own(parts), wanted)
        except TaskNotFound:
            raise why_absent(wanted, table=parts.table, now=datetime.now(UTC)) from None
        status = 200 if receipt is Receipt.PREVENTED else 202
        return respond(CancelView(receipt=receipt, task=task_view(found)), status)

    return blueprint


_READERS: Readers = {
    "type": as_text,
    "state": one_of(*State),
    "pool": as_text,
    "error": as_text,
    "created_after": as_instant,
    "created_before": as_instant,
    "limit": as_limit,
    "cursor": as_cursor,
}
