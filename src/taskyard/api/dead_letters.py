"""/v1/dead-letters, and what is done about one: its attempts, its replay."""

from datetime import UTC, datetime

from quart import Blueprint, Response, request

from taskyard.api.caller import own
from taskyard.api.dead_letter_views import (
    AttemptList,
    ReasonGroupList,
    attempt_view,
    group_view,
    replay_view,
)
from taskyard.api.errors import come_again
from taskyard.api.pages import page_view
from taskyard.api.parts import Parts
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
from taskyard.api.render import respond, task_view
from taskyard.api.request import convert, json_body, json_body_or_none, task_id
from taskyard.core.retention import why_absent
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.services.dead_letters import DeadLetterFilter
from taskyard.services.replay import ReplayRequest, replay
from taskyard.services.replay_many import ReplayManyRequest, replay_many
from taskyard.storage import dead_letters as dead_letters_table
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import borrowed

_FILTERS: Readers = {
    "type": as_text,
    "pool": as_text,
    "state": one_of(State.FAILED, State.EXPIRED, State.QUARANTINED),
    "code": as_text,
    "finished_after": as_instant,
    "finished_before": as_instant,
    "limit": as_limit,
}


class _Wanted(DeadLetterFilter, kw_only=True):
    """The query parameters of a list, checked."""

    limit: int = PAGE
    before: TaskId | None = None


def dead_letters_blueprint(parts: Parts) -> Blueprint:
    """Serve dead letters, replays and attempts."""
    blueprint = Blueprint("dead_letters", __name__)

    @blueprint.get("/v1/dead-letters")
    async def list_dead_letters() -> Response:
        wanted = _wanted({**_FILTERS, "cursor": as_cursor})
        async with borrowed(own(parts)) as connection:
            found = await dead_letters_table.page(
                connection, wanted.criteria(), before=wanted.before, limit=wanted.limit
            )
        return respond(page_view(found))

    @blueprint.get("/v1/dead-letters/groups")
    async def groups() -> Response:
        wanted = _wanted(_FILTERS)
        async with borrowed(own(parts)) as connection:
            found = await dead_letters_table.groups(
                connection, wanted.criteria(), limit=wanted.limit
            )
        total = found[0].total if found else 0
        return respond(ReasonGroupList(total=total, items=[group_view(each) for each in found]))

    @blueprint.post("/v1/dead-letters/replay")
    async def replay_dead_letters() -> Response:
        wish = convert(await json_body(), ReplayManyRequest)
        report = await replay_many(
            own(parts),
            wish,
            table=parts.table,
            catalog=parts.catalog,
            entry=parts.entry,
            now=datetime.now(UTC),
        )
        view = replay_view(wish, report)
        return respond(view, 200 if wish.dry_run else 202, come_again(report.stopped))

    @blueprint.post("/v1/tasks/<task>/replay")
    async def replay_task(task: str) -> Response:
        wish = convert(await json_body_or_none(), ReplayRequest)
        replayed = await replay(
            own(parts),
            task_id(task),
            wish,
            table=parts.table,
            catalog=parts.catalog,
            entry=parts.entry,
            now=datetime.now(UTC),
        )
        view = task_view(replayed)
        return respond(view, 202, {"Location": view.links["self"]})

    @blueprint.get("/v1/tasks/<task>/attempts")
    async def attempts(task: str) -> Response:
        wanted = task_id(task)
        async with borrowed(own(parts)) as connection:
            found = await dead_letters_table.attempts(connection, wanted)
            if not found and await tasks_table.get(connection, wanted, told=True) is None:
                raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
        return respond(AttemptList(items=[attempt_view(each) for each in found]))

    return blueprint


def _wanted(readers: Readers) -> _Wanted:
    return _Wanted(**read_query(request.args.items(multi=True), readers))
