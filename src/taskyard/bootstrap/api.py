"""The API's processes."""

import asyncio
import multiprocessing
import os
import resource
import signal
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from taskyard import logs, notify
from taskyard.bootstrap.identity import open_identity
from taskyard.bootstrap.observing import traced
from taskyard.bootstrap.process import beside, settle
from taskyard.bootstrap.surroundings import issuers, key_pepper, key_ring, routing, settings
from taskyard.core.errors import StorageUnavailable
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.api.parts import Parts

log = structlog.get_logger(__name__)

_CONNECTIONS = 8
_MOST_REQUESTS = 10_000  # at once, of each process; those that wait cost next to nothing
_MOST_FILES = 65_536
_HEADERS_WITHIN = 30_000  # milliseconds, from the first byte or the end of the last answer
_READ_AHEAD = 64 * 1024  # bytes; api/front.py has the exact limits
_LET_GO = signal.SIGUSR1
# prometheus_client reads it when it is loaded, and has no other way to be told.
_SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@asynccontextmanager
async def open_api(given: Settings) -> AsyncIterator["Parts"]:
    """Open what one API process works with, and close it in reverse order."""
    from taskyard.api.parts import Parts
    from taskyard.api.pressure import Pressure
    from taskyard.bootstrap.outward import webhook_policy
    from taskyard.broker.publisher import open_publisher
    from taskyard.broker.wakeup import exchange_name
    from taskyard.process_metrics import ProcessMetrics
    from taskyard.services.catalog import Catalog
    from taskyard.services.entry import Entry
    from taskyard.services.fresh import open_fresh
    from taskyard.services.intake import open_intake
    from taskyard.services.quotas import open_quotas
    from taskyard.services.stream import open_stream
    from taskyard.services.waiting import open_waiting
    from taskyard.services.watch import open_watch
    from taskyard.storage.pool import open_pool

    catalog, shared = Catalog(), os.environ.get(_SHARED_FOLDER)
    metrics = ProcessMetrics(Path(shared) if shared else None)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        stack.enter_context(traced(given, "api"))
        url, ring = given.database_url, key_ring(given)
        pool = await enter(open_pool(url, name="api", size=_CONNECTIONS, ring=ring))
        publisher = await enter(open_publisher(given.amqp_url, exchange_name(given.prefix)))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        intake = await enter(
            open_intake(
                pool,
                fresh,
                largest_backlog=given.largest_backlog,
                table=routing(given),
                on_commit=metrics.committed,
            )
        )
        waiting = await enter(open_waiting(pool, given.database_url))
        await enter(beside(follow_task_types(given, catalog, pool), name="task types"))
        stream = await enter(open_stream(pool))
        watch = await enter(open_watch(pool))
        # Requests that wait would hold up the stop: they are answered when it begins.
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(_LET_GO, _let_go, waiting, stream, watch)
        quotas = await enter(open_quotas(pool, routing(given).quota))
        pressure = Pressure(given.submit_target.total_seconds(), on_change=metrics.limited)
        await enter(beside(pressure.watch(), name="pressure"))
        parts = Parts(
            table=routing(given),
            prefix=given.prefix,
            amqp_url=given.amqp_url,
            pool=pool,
            publisher=publisher,
            intake=intake,
            fresh=fresh,
            catalog=catalog,
            waiting=waiting,
            stream=stream,
            watch=watch,
            quotas=quotas,
            entry=Entry(pool, backlog=intake.backlog, quotas=quotas),
            pressure=pressure,
            metrics=metrics,
            metrics_networks=given.metrics_networks,
            **await enter(open_identity(given, pool)),
            webhooks=webhook_policy(given),
        )
        yield with_dashboard(parts, encrypted=ring.active is not None, trace_url=given.trace_url)


def with_dashboard(parts: "Parts", *, encrypted: bool, trace_url: str | None = None) -> "Parts":
    """Return the parts with the dashboard's pages, where people may log in."""
    from taskyard.api.errors import STATUS
    from taskyard.services.flow import Flow
    from taskyard.services.lately import LastHour
    from taskyard.services.why import Yard as WhyYard
    from taskyard.ui import BrowserSessions, Yard, dashboard_blueprint

    if not isinstance(parts.sessions, BrowserSessions):
        return parts
    yard = Yard(
        pool=parts.pool,
        table=parts.table,
        catalog=parts.catalog,
        publisher=parts.publisher,
        entry=parts.entry,
        waits=WhyYard(
            table=parts.table,
            amqp_url=parts.amqp_url,
            prefix=parts.prefix,
            publisher=parts.publisher,
        ),
        flow=Flow(parts.pool, parts.table, parts.publisher),
        lately=LastHour(parts.pool),
        webhooks=parts.webhooks,
        encrypted=encrypted,
        trace_url=trace_url,
    )
    return replace(parts, pages=(*parts.pages, dashboard_blueprint(yard, parts.sessions, STATUS)))


def _let_go(*everybody: Any) -> None:
    for each in everybody:
        each.let_go()


async def follow_task_types(given: Settings, catalog: Any, pool: Any) -> None:
    """Keep the catalog as new as what workers announced."""
    from taskyard.storage.listen import TASK_TYPES, listen

    async for _ in listen(given.database_url, TASK_TYPES, name="api"):
        try:
            await catalog.refresh(pool)
        except StorageUnavailable as error:
            log.warning("task types not read", error=error.detail)


def asgi() -> Callable[..., Awaitable[None]]:
    """Return the ASGI application; what it needs is opened and closed by its lifespan."""
    from taskyard.api.app import create_app
    from taskyard.api.lifespan import Lifespan
    from taskyard.api.listening import cut_silent_readers

    given = settings("api")
    logs.configure(
        log_format=given.log_format, level=given.log_level, role="api", secrets=given.secrets
    )

    def on_ready() -> None:
        if not cut_silent_readers(given.api_port):
            log.warning("listening socket not found: who never reads an answer is not cut")
        settle()
        notify.ready()

    return Lifespan(lambda: open_api(given), create_app, on_ready=on_ready)


def serve_api(given: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT; requests under way are answered first."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.http import HTTP1Settings

    routing(given)  # its faults belong to this process's output, not to a worker's
    issuers(given)
    key_pepper(given)
    _allow_many_connections()
    server = Granian(
        "taskyard.bootstrap:asgi",
        factory=True,
        address=given.api_host,
        port=given.api_port,
        interface=Interfaces.ASGI,
        workers=given.api_workers,
        loop=Loops.uvloop,
        # HTTP/2 is left to a proxy: here it would be a second set of limits.
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            header_read_timeout=_HEADERS_WITHIN, max_buffer_size=_READ_AHEAD
        ),
        websockets=False,
        log_enabled=False,
        respawn_failed_workers=True,
        workers_kill_timeout=10,
        backpressure=_MOST_REQUESTS,
        ssl_cert=given.api_tls_certificate,
        ssl_key=given.api_tls_key,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    server.on_startup(_let_go_first)
    with tempfile.TemporaryDirectory(prefix="taskyard-metrics-") as shared:
        # For the processes that are to come: in this one it must not be loaded before.
        os.environ[_SHARED_FOLDER] = shared
        server.serve()


def _allow_many_connections() -> None:
    """Raise the limit of open files as far as we may: each who waits holds a connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _let_go_first() -> None:
    """Have a signal to stop passed on in two steps: the server waits for requests under way."""
    for number in (signal.SIGTERM, signal.SIGINT):
        stop = signal.getsignal(number)

        def on_signal(number: int, frame: Any, stop: Any = stop) -> None:
            for process in multiprocessing.active_children():
                if process.pid:
                    os.kill(process.pid, _LET_GO)
            stop(number, frame)

        signal.signal(number, on_signal)
