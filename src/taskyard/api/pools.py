"""/v1/pools and /v1/workers: how pools stand, pause and resume, drain."""

from typing import Any

from quart import Blueprint, Response

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.pool_views import PoolList, PoolWhole, pool_view, whole_view, worker_view
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body_or_none
from taskyard.services.drain import drain
from taskyard.services.pause import PauseRequest, pause, resume
from taskyard.services.pools import look_at, survey


def pools_blueprint(parts: Parts) -> Blueprint:
    """Serve pools and their workers."""
    blueprint = Blueprint("pools", __name__)

    @blueprint.get("/v1/pools")
    async def pools() -> Response:
        yard = await survey(parts.table, **where(parts))
        views = [pool_view(status) for status in yard.pools]
        return respond(PoolList(broker_up=yard.broker_up, items=views))

    @blueprint.get("/v1/pools/<pool>")
    async def pool(pool: str) -> Response:
        return respond(await _read(parts, pool))

    @blueprint.post("/v1/pools/<pool>/pause")
    async def pause_pool(pool: str) -> Response:
        wish = convert(await json_body_or_none(), PauseRequest)
        await pause(own(parts), parts.table, pool, reason=wish.reason)
        return respond(await _read(parts, pool))

    @blueprint.post("/v1/pools/<pool>/resume")
    async def resume_pool(pool: str) -> Response:
        await resume(own(parts), parts.table, pool)
        return respond(await _read(parts, pool))

    @blueprint.post("/v1/workers/<worker>/drain")
    async def drain_worker(worker: str) -> Response:
        return respond(worker_view(await drain(own(parts), worker)), 202)

    return blueprint


async def _read(parts: Parts, name: str) -> PoolWhole:
    given = {"amqp_url": parts.amqp_url, "prefix": parts.prefix}
    return whole_view(await look_at(own(parts), name, parts.table, **given))


def where(parts: Parts) -> dict[str, Any]:
    """Return where a yard is surveyed."""
    return {"connections": parts.pool, "amqp_url": parts.amqp_url, "prefix": parts.prefix}
