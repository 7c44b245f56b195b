"""The processes of the dispatcher, the ingest and the workers."""

import asyncio
import platform
import uuid
from contextlib import AsyncExitStack

import structlog

from taskyard import notify
from taskyard.bootstrap.api import follow_task_types
from taskyard.bootstrap.observing import traced
from taskyard.bootstrap.process import beside, settle
from taskyard.bootstrap.surroundings import key_ring, routing
from taskyard.core.errors import Misconfigured
from taskyard.core.principal import Owner
from taskyard.core.routing_limits import has_limits
from taskyard.settings import Settings

log = structlog.get_logger(__name__)

_DISPATCHER_CONNECTIONS = 6
_INGEST_CONNECTIONS = 4


async def run_dispatcher(given: Settings) -> None:
    """Dispatch until cancelled."""
    from taskyard.bootstrap.outward import open_outward
    from taskyard.broker.publisher import open_publisher
    from taskyard.broker.wakeup import exchange_name
    from taskyard.dispatcher import Dispatcher
    from taskyard.dispatcher.lines import follow_freed, releasing
    from taskyard.dispatcher.readings import dispatcher_readings
    from taskyard.dispatcher.statistics import statistics_duties
    from taskyard.dispatcher.usage import counting
    from taskyard.role_metrics import served
    from taskyard.services.reconcile import Reconciler
    from taskyard.storage.pool import open_pool

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stack.enter_context(traced(given, "dispatcher"))
        size, ring = _DISPATCHER_CONNECTIONS, key_ring(given)
        pool = await enter(open_pool(given.database_url, name="dispatcher", size=size, ring=ring))
        publisher = await enter(open_publisher(given.amqp_url, exchange_name(given.prefix)))
        table = routing(given)
        freed = asyncio.Event()
        if has_limits(table):
            following = follow_freed(given.database_url, freed)
            await enter(beside(following, name="freed permits"))
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
            outward=[
                *await enter(open_outward(given, pool)),
                releasing(pool, table, freed),
                *counting(pool, table.quota),
                *statistics_duties(pool),
            ],
        )
        readings = dispatcher_readings(dispatcher, publisher, reconciler)
        stack.enter_context(served(readings, given.metrics_listen))
        settle()
        notify.ready()
        await dispatcher.run()


async def run_ingest(given: Settings) -> None:
    """Take events in until cancelled."""
    from taskyard.broker.consumer import open_consumer
    from taskyard.broker.topology import ingest_queue
    from taskyard.ingest import HELD, consume
    from taskyard.ingest.readings import ingest_readings
    from taskyard.role_metrics import served
    from taskyard.services.backlog import open_backlog
    from taskyard.services.catalog import Catalog
    from taskyard.services.entry import Entry
    from taskyard.services.ingest import Ingest
    from taskyard.services.quotas import open_quotas
    from taskyard.storage.pool import OwnPool, open_pool

    table, catalog = routing(given), Catalog()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stack.enter_context(traced(given, "ingest"))
        size, ring = _INGEST_CONNECTIONS, key_ring(given)
        pool = await enter(open_pool(given.database_url, name="ingest", size=size, ring=ring))
        await enter(beside(follow_task_types(given, catalog, pool), name="task types"))
        # Before it is known what arguments fit, every event would pass.
        await catalog.known.wait()
        queue = ingest_queue(given.prefix)
        consumer = await enter(open_consumer(given.amqp_url, queue, bounds=HELD))
        stack.enter_context(served(ingest_readings(consumer), given.metrics_listen))
        settle()
        notify.ready()
        own = OwnPool(pool, Owner(given.events_tenant))
        ingest = Ingest(own, table=table, catalog=catalog)
        largest = given.largest_backlog
        backlog = await enter(open_backlog(pool, largest=largest, table=table))
        quotas = await enter(open_quotas(pool, table.quota))
        await consume(consumer, ingest, Entry(pool, backlog=backlog, quotas=quotas))


def run_worker(given: Settings, pool_name: str) -> int:
    """Run the tasks of one pool until SIGTERM or SIGINT; return the exit code."""
    from taskyard import files
    from taskyard.role_metrics import served
    from taskyard.storage.pool import connect_sync
    from taskyard.storage.task_types import announce
    from taskyard.worker.agreement import announcements
    from taskyard.worker.app import make_celery, put_on_path
    from taskyard.worker.readings import worker_readings
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
    runtime = Runtime(
        database_url=given.database_url,
        worker=name,
        pool=pool.name,
        table=table,
        ring=key_ring(given),
    )
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
    settle()

    def on_ready() -> None:
        with connect_sync(given.database_url, name="announcement") as connection:
            announce(connection, pool.name, announced)
        log.info("worker ready", pool=pool.name, worker=name, types=[a.type for a in announced])
        notify.ready()

    drain = min(pool.drain, given.longest_drain).total_seconds()
    readings = worker_readings(runtime, pool)
    with traced(given, f"worker {pool.name}"), served(readings, given.metrics_listen):
        return serve(app, pool, name=name, amqp_url=given.amqp_url, drain=drain, on_ready=on_ready)
