"""The pages Pools and Pool: who works, what runs and how fast; pause, resume, drain."""

from quart import Blueprint, Response, request

from taskyard.core.errors import Forbidden
from taskyard.core.flow import PoolFlow
from taskyard.core.principal import Scope
from taskyard.services.drain import drain
from taskyard.services.lately import Hour
from taskyard.services.pause import pause, require_pool, resume
from taskyard.services.pools import look_at
from taskyard.ui.frame import own, page, redirect, require, viewer
from taskyard.ui.yard import Yard

# What a page says after an action; the address names it, so that nothing else can be said there.
DONE = {
    "paused": "Paused: nothing of this pool is begun until it is resumed.",
    "resumed": "Resumed: what waits is begun, in its order.",
    "drained": "The worker was asked to leave. It ends what it runs first.",
}
_AGAIN = 5.0  # seconds; a page of one pool asks the broker as well


def serve_pools(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the list and the page of one pool, and what its forms do."""
    _serve_forms(blueprint, yard)

    @blueprint.get("/pools")
    async def pools() -> Response:
        flow = await yard.flow.read()
        lately = await yard.lately.read()
        return await page("pools.html", flow=flow, lately=lately, nothing=Hour(), again=_AGAIN)

    @blueprint.get("/pools/<pool>")
    async def pool(pool: str) -> Response:
        where = {"amqp_url": yard.waits.amqp_url, "prefix": yard.waits.prefix}
        life = await look_at(own(yard.pool), pool, yard.table, **where)
        flow = (await yard.flow.read()).pools
        return await page(
            "pool.html",
            life=life,
            flow=next((each for each in flow if each.name == pool), PoolFlow(name=pool)),
            lately=(await yard.lately.read()).get(pool, Hour()),
            may=may_pause(),
            again=_AGAIN,
            done=DONE.get(request.args.get("done", "")),
        )


def _serve_forms(blueprint: Blueprint, yard: Yard) -> None:
    @blueprint.post("/pools/<pool>/pause")
    async def pause_pool(pool: str) -> Response:
        require_operator()
        reason = (await request.form).get("reason", "").replace("\0", "").strip()[:200]
        await pause(own(yard.pool), yard.table, pool, reason=reason)
        return redirect(f"/pools/{pool}?done=paused")

    @blueprint.post("/pools/<pool>/resume")
    async def resume_pool(pool: str) -> Response:
        require_operator()
        await resume(own(yard.pool), yard.table, pool)
        require_pool(yard.table, pool)
        return redirect(f"/pools/{pool}?done=resumed")

    @blueprint.post("/pools/<pool>/drain")
    async def drain_worker(pool: str) -> Response:
        require_operator()
        require_pool(yard.table, pool)
        await drain(own(yard.pool), (await request.form).get("worker", ""))
        return redirect(f"/pools/{pool}?done=drained")


def may_pause() -> bool:
    """Return whether the viewer may pause pools and drain workers: they serve all tenants."""
    principal = viewer().principal
    return principal.may(Scope.ADMIN) and principal.owner.patterns is None


def require_operator() -> None:
    """Raise Forbidden unless the viewer may."""
    require(Scope.ADMIN)
    if not may_pause():
        raise Forbidden("this is for keys and tokens that are not limited to some task types")
