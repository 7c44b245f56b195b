"""/v1/pools: how pools stand, pause and resume."""

from typing import Any

from quart import Blueprint, Response

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.pool_views import PoolList, PoolView, pool_view
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body_or_none
from taskyard.services.pause import PauseRequest, pause, require_pool, resume
from taskyard.services.pools import Yard, survey


def pools_blueprint(parts: Parts) -> Blueprint:
    """Serve pools."""
    blueprint = Blueprint("pools", __name__)

    @blueprint.get("/v1/pools")
    async def pools() -> Response:
        yard = await _survey(parts)
        views = [pool_view(status) for status in yard.pools]
        return respond(PoolList(broker_up=yard.broker_up, items=views))

    @blueprint.get("/v1/pools/<pool>")
    async def pool(pool: str) -> Response:
        require_pool(parts.table, pool)
        return respond(await _read(parts, pool))

    @blueprint.post("/v1/pools/<pool>/pause")
    async def pause_pool(pool: str) -> Response:
        wish = convert(await json_body_or_none(), PauseRequest)
        await pause(own(parts), parts.table, pool, reason=wish.reason)
        return respond(await _read(parts, pool))

    @blueprint.post("/v1/pools/<pool>/resume")
    async def resume_pool(pool: str) -> Response:
        await resume(own(parts), parts.table, pool)
        require_pool(parts.table, pool)
        return respond(await _read(parts, pool))

    return blueprint


async def _read(parts: Parts, name: str) -> PoolView:
    [found] = [each for each in (await _survey(parts)).pools if each.pool.name == name]
    return pool_view(found)


async def _survey(parts: Parts) -> Yard:
    return await survey(parts.table, **where(parts))


def where(parts: Parts) -> dict[str, Any]:
    """Return where a yard is surveyed."""
    return {"connections": parts.pool, "amqp_url": parts.amqp_url, "prefix": parts.prefix}
