"""The only place that reads the environment, opens connections and joins the parts.

Each role imports what it needs when it starts: the dispatcher must not load Quart, nor the API
Celery.
"""

import asyncio
import contextlib
import gc
import os
import platform
import signal
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog

from taskyard import logs, notify
from taskyard.core.errors import Fault, Misconfigured, StorageUnavailable
from taskyard.core.routing import RoutingTable
from taskyard.routing_files import read_routing
from taskyard.settings import Settings, load

if TYPE_CHECKING:
    from taskyard.api.parts import Parts
    from taskyard.broker.topology import Step

log = structlog.get_logger(__name__)

_API_CONNECTIONS = 8
_DISPATCHER_CONNECTIONS = 4


def settings() -> Settings:
    """Return the settings of this process. Raises InvalidSettings with every fault."""
    return load(os.environ)


def routing(given: Settings) -> RoutingTable:
    """Return the routing table of this deployment. Raises InvalidRouting with every fault."""
    return read_routing(given.routing)


@asynccontextmanager
async def open_api(given: Settings) -> AsyncIterator["Parts"]:
    """Open what one API process works with, and close it in reverse order."""
    from taskyard.api.parts import Parts
    from taskyard.broker.publisher import open_publisher
    from taskyard.broker.wakeup import exchange_name
    from taskyard.services.catalog import Catalog
    from taskyard.services.dispatch import open_fresh
    from taskyard.services.intake import open_intake
    from taskyard.storage.pool import open_pool

    catalog = Catalog()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(open_pool(given.database_url, name="api", size=_API_CONNECTIONS))
        publisher = await enter(open_publisher(given.amqp_url, exchange_name(given.prefix)))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        intake = await enter(open_intake(pool, fresh))
        await enter(_beside(_follow_task_types(given, catalog, pool), name="task types"))
        yield Parts(
            table=routing(given),
            prefix=given.prefix,
            amqp_url=given.amqp_url,
            pool=pool,
            publisher=publisher,
            intake=intake,
            fresh=fresh,
            catalog=catalog,
        )


async def _follow_task_types(given: Settings, catalog: Any, pool: Any) -> None:
    """Keep the catalog as new as what workers announced."""
    from taskyard.storage.listen import TASK_TYPES, listen

    async for _ in listen(given.database_url, TASK_TYPES, name="api"):
        try:
            await catalog.refresh(pool)
        except StorageUnavailable as error:
            log.warning("task types not read", error=error.detail)


@asynccontextmanager
async def _beside(work: Awaitable[None], *, name: str) -> AsyncIterator[None]:
    """Run something beside the body, and end it with the body."""
    task = asyncio.ensure_future(work)
    task.add_done_callback(lambda done: _say_fault(done, name))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _say_fault(done: "asyncio.Future[None]", name: str) -> None:
    if not done.cancelled() and (error := done.exception()) is not None:
        log.error("background work failed", work=name, exc_info=error)


def asgi() -> Callable[..., Awaitable[None]]:
    """Return the ASGI application; what it needs is opened and closed by its lifespan."""
    from taskyard.api.app import create_app
    from taskyard.api.lifespan import Lifespan

    given = settings()
    logs.configure(log_format=given.log_format, level=given.log_level, role="api")

    def on_ready() -> None:
        _settle()
        notify.ready()

    return Lifespan(lambda: open_api(given), create_app, on_ready=on_ready)


def _settle() -> None:
    """Spare what was loaded from every later garbage collection, and collect less often.

    A role lives long after it has loaded its code, and each request or task leaves few cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def serve_api(given: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; requests under way are answered first."""
    from granian import Granian
    from granian.constants import Interfaces, Loops

    routing(given)  # its faults belong to this process's output, not to a worker's
    Granian(
        "taskyard.bootstrap:asgi",
        factory=True,
        address=given.api_host,
        port=given.api_port,
        interface=Interfaces.ASGI,
        workers=given.api_workers,
        loop=Loops.uvloop,
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
    ).serve()


async def run_dispatcher(given: Settings) -> None:
    """Dispatch until cancelled."""
    from taskyard.broker.publisher import open_publisher
    from taskyard.broker.wakeup import exchange_name
    from taskyard.dispatcher import Dispatcher
    from taskyard.services.reconcile import Reconciler
    from taskyard.storage.pool import open_pool

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        size = _DISPATCHER_CONNECTIONS
        pool = await enter(open_pool(given.database_url, name="dispatcher", size=size))
        publisher = await enter(open_publisher(given.amqp_url, exchange_name(given.prefix)))
        table = routing(given)
        reconciler = Reconciler(
            table=table,
            connections=pool,
            publisher=publisher,
            database_url=given.database_url,
            amqp_url=given.amqp_url,
            prefix=given.prefix,
        )
        dispatcher = Dispatcher(
            database_url=given.database_url,
            pool=pool,
            publisher=publisher,
            reconciler=reconciler,
            table=table,
        )
        _settle()
        notify.ready()
        await dispatcher.run()


def run_worker(given: Settings, pool_name: str) -> int:
    """Run the tasks of one pool until SIGTERM or SIGINT; return the exit code."""
    from taskyard import files
    from taskyard.storage.pool import connect_sync
    from taskyard.storage.task_types import announce
    from taskyard.worker.agreement import announcements
    from taskyard.worker.app import make_celery, put_on_path
    from taskyard.worker.runtime import Runtime
    from taskyard.worker.serve import serve

    table = routing(given)
    if pool_name not in table.pools:
        raise Misconfigured(
            f"there is no pool {pool_name!r} in the routing table; there are "
            + ", ".join(table.pools)
        )
    pool = table.pools[pool_name]
    name = f"{pool.name}@{platform.node()}-{uuid.uuid4().hex[:8]}"
    runtime = Runtime(database_url=given.database_url, worker=name, pool=pool.name, table=table)
    put_on_path([given.workers])
    files.configure(given.stores)
    app = make_celery(
        pool,
        table=table,
        runtime=runtime,
        amqp_url=given.amqp_url,
        database_url=given.database_url,
        prefix=given.prefix,
    )
    announced = announcements(app, pool)
    _settle()

    def on_ready() -> None:
        with connect_sync(given.database_url, name="announcement") as connection:
            announce(connection, pool.name, announced)
        log.info("worker ready", pool=pool.name, worker=name, types=[a.type for a in announced])
        notify.ready()

    drain = min(pool.drain, given.longest_drain).total_seconds()
    return serve(app, pool, name=name, amqp_url=given.amqp_url, drain=drain, on_ready=on_ready)


async def migrate_database(given: Settings) -> list[str]:
    """Apply missing migrations; return their names."""
    from taskyard.storage.migrate import migrate
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="migrate") as connection:
        return await migrate(connection)


async def plan_topology(given: Settings) -> "list[Step]":
    """Return what `apply_topology` would change in the broker."""
    from taskyard.services import topology

    async with await _administration(given) as connection:
        return await topology.plan_topology(
            connection, amqp_url=given.amqp_url, table=routing(given), prefix=given.prefix
        )


async def apply_topology(given: Settings, *, drain: timedelta = timedelta(0)) -> "list[Step]":
    """Make the broker as the routing table wants it; return what was done.

    Waits so long for workers to empty the queues that were replaced.
    """
    from taskyard.services import topology

    async with await _administration(given) as connection:
        return await topology.apply_and_drain(
            connection,
            amqp_url=given.amqp_url,
            table=routing(given),
            prefix=given.prefix,
            within=drain,
        )


async def _administration(given: Settings) -> Any:
    from taskyard.storage.pool import connect

    return await connect(given.database_url, name="administration")


def check_agreement(given: Settings) -> list[Fault]:
    """Return how the routing table and the task code disagree."""
    from taskyard.worker.agreement import disagreements

    return disagreements(routing(given), given.workers)


def run_until_signal(work: Coroutine[Any, Any, None]) -> None:
    """Run until SIGTERM or SIGINT, then let it clean up."""

    async def supervised() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(supervised())


def stack_settings() -> tuple[Settings, dict[str, str]]:
    """Return the settings for a stack on private servers, and which URLs were given after all.

    Raises InvalidSettings: everything is checked before anything starts.
    """
    urls = ("TASKYARD_DATABASE_URL", "TASKYARD_AMQP_URL")
    given = {name: os.environ[name] for name in urls if name in os.environ}
    private = {
        "TASKYARD_DATABASE_URL": "postgresql://private@127.0.0.1/private",
        "TASKYARD_AMQP_URL": "amqp://private@127.0.0.1/private",
    }
    return load({**private, **os.environ}), given


def child_environment(defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the roles of a stack: ours, over some defaults."""
    return {**defaults, **os.environ}
