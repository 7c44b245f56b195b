"""What can be run and where: task types, routes, pools."""

from typing import Any

import msgspec
from quart import Blueprint, Response

from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body
from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.errors import PoolNotFound, UnknownTaskType
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.units import show_duration
from taskyard.services.explain import explain
from taskyard.services.pools import PoolStatus, Yard, survey
from taskyard.storage.task_types import Announcement


class ExplainRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of POST /v1/routes/explain."""

    type: str


def yard_blueprint(parts: Parts) -> Blueprint:
    """Serve task types, routes and pools."""
    blueprint = Blueprint("yard", __name__)

    @blueprint.get("/v1/task-types")
    async def task_types() -> Response:
        announced = parts.catalog.announced.values()
        views = [view for each in announced if (view := _type_view(parts.table, each))]
        return respond({"items": views})

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
        announced = wish.type in parts.catalog.announced
        return respond(
            {
                "type": wish.type,
                "pool": found.route.pool.name,
                "exchange": exchange_name(parts.prefix),
                "routing_key": wish.type,
                "queue": queue_name(parts.prefix, found.route.pool.name),
                "pattern": found.route.pattern,
                "why": found.why,
                "announced": announced,
                "defaults": _defaults_view(found.route.defaults),
                "candidates": [
                    {"pool": pool, "pattern": pattern, "matches": matched}
                    for pool, pattern, matched in found.candidates
                ],
            }
        )

    @blueprint.get("/v1/pools")
    async def pools() -> Response:
        yard = await _survey(parts)
        return respond(
            {"broker_up": yard.broker_up, "items": [_pool_view(each) for each in yard.pools]}
        )

    @blueprint.get("/v1/pools/<pool>")
    async def pool(pool: str) -> Response:
        for status in (await _survey(parts)).pools:
            if status.pool.name == pool:
                return respond(_pool_view(status))
        raise PoolNotFound(
            f"there is no pool {pool[:64]!r}; there are {', '.join(parts.table.pools)}"
        )

    return blueprint


async def _survey(parts: Parts) -> Yard:
    return await survey(
        parts.table, connections=parts.pool, amqp_url=parts.amqp_url, prefix=parts.prefix
    )


def _type_view(table: RoutingTable, announced: Announcement) -> dict[str, Any] | None:
    """A type that is announced but no longer routed cannot be submitted, so it is not shown."""
    try:
        route = table.resolve(announced.type)
    except UnknownTaskType:
        return None
    return {
        "type": announced.type,
        "pool": route.pool.name,
        "description": announced.description,
        "schema": announced.schema,
        "defaults": _defaults_view(route.defaults),
        "announced_at": announced.announced_at,
    }


def _defaults_view(defaults: TaskDefaults) -> dict[str, Any]:
    return {
        "priority": defaults.priority,
        "timeout": show_duration(defaults.timeout),
        "retention": show_duration(defaults.retention),
        "max_args": defaults.max_args,
        "retry": {
            "max_attempts": defaults.retry.max_attempts,
            "base": show_duration(defaults.retry.base),
            "cap": show_duration(defaults.retry.cap),
        },
    }


def _pool_view(status: PoolStatus) -> dict[str, Any]:
    pool = status.pool
    return {
        "name": pool.name,
        "tasks": pool.tasks,
        "execution": pool.execution,
        "concurrency": pool.concurrency,
        "queue": status.queue,
        "depth": status.depth.ready if status.depth else None,
        "consumers": status.depth.consumers if status.depth else None,
        "running": status.running,
    }
