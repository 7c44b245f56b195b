"""What can be run and where: task types and routes."""

from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.caller import caller
from taskyard.api.parts import Parts
from taskyard.api.place import place_view
from taskyard.api.pools import where
from taskyard.api.render import explanation_view, respond, type_view
from taskyard.api.request import convert, json_body
from taskyard.api.views import ExplainRequest, TaskTypeList, TaskTypeView
from taskyard.core.errors import UnknownTaskType
from taskyard.core.routing import RoutingTable
from taskyard.services.explain import explain
from taskyard.services.place import next_place
from taskyard.services.pools import queues_by_pool
from taskyard.storage.pool import borrowed
from taskyard.storage.task_types import Announcement


def yard_blueprint(parts: Parts) -> Blueprint:
    """Serve task types and routes."""
    blueprint = Blueprint("yard", __name__)

    @blueprint.get("/v1/task-types")
    async def task_types() -> Response:
        announced = parts.catalog.announced.values()
        views = [view for each in announced if (view := _type_view(parts.table, each))]
        return respond(TaskTypeList(items=views))

    @blueprint.get("/v1/task-types/<task_type>")
    async def task_type(task_type: str) -> Response:
        announced = parts.catalog.announced.get(task_type)
        view = _type_view(parts.table, announced) if announced else None
        if view is None:
            raise UnknownTaskType(f"no worker has announced the task type {task_type[:200]!r}")
        return respond(view)

    @blueprint.post("/v1/routes/explain")
    async def explain_route() -> Response:
        wish = convert(await json_body(), ExplainRequest)
        found = explain(parts.table, wish.type)
        queues = await queues_by_pool(parts.table, **where(parts))
        route = found.route
        async with borrowed(parts.pool) as connection:
            place = await next_place(
                connection,
                route.pool,
                wish.type,
                tenant=caller().tenant,
                priority=route.defaults.priority if wish.priority is None else wish.priority,
            )
        view = explanation_view(
            found,
            prefix=parts.prefix,
            queue=queues[found.route.pool.name].current,
            announced=wish.type in parts.catalog.announced,
            place=place_view(place, now=datetime.now(UTC)),
        )
        return respond(view)

    return blueprint


def _type_view(table: RoutingTable, announced: Announcement) -> TaskTypeView | None:
    """A type that is announced but no longer routed cannot be submitted, so it is not shown."""
    try:
        route = table.resolve(announced.type)
    except UnknownTaskType:
        return None
    return type_view(announced, pool=route.pool.name, defaults=route.defaults)
