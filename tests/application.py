"""The HTTP application on a real database, as one API process has it, without a server around."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from quart import Response
from quart.testing import QuartClient
from quart.typing import TestClientProtocol as HttpClient
from werkzeug.datastructures import Headers

from taskyard.api.app import create_app
from taskyard.api.parts import Parts
from taskyard.broker.publisher import open_publisher
from taskyard.broker.wakeup import exchange_name
from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope
from taskyard.core.routing import Pool, RoutingTable
from taskyard.dev.processes import free_port
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

TABLE = RoutingTable(pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})


class Keyring:
    """Knows principals by what they show. Everybody who shows something else is an admin."""

    def __init__(self, **known: Principal) -> None:
        self._known = known

    async def principal_of(self, token: str) -> Principal:
        return self._known.get(token, ADMIN)


ADMIN = Principal(tenant=DEFAULT_TENANT, name="tests", scopes=frozenset({Scope.ADMIN}))
ANYBODY = Keyring()


class BearingClient(QuartClient):
    """A client that shows something, if the test says no other."""

    async def _make_request(
        self, path: str, method: str, headers: Any, *more: Any, **named: Any
    ) -> Response:
        return await super()._make_request(path, method, _bearing(headers), *more, **named)

    def request(self, path: str, *, headers: Any = None, **named: Any) -> Any:
        return super().request(path, headers=_bearing(headers), **named)


def _bearing(headers: Any) -> Headers:
    shown = Headers(headers or {})
    shown.setdefault("Authorization", "Bearer anybody")
    return shown


def client_of(parts: Parts) -> HttpClient:
    """Return a client of the application over some parts."""
    app = create_app(parts)
    app.test_client_class = BearingClient
    return app.test_client()


@asynccontextmanager
async def open_parts(
    database_url: str,
    table: RoutingTable = TABLE,
    *,
    largest_backlog: int = 100_000,
    **changes: Any,
) -> AsyncIterator[Parts]:
    """What one API process works with; the broker is away and does not matter."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        nowhere = f"amqp://u:p@127.0.0.1:{free_port()}/v"
        pool = await enter(open_pool(database_url, name="tests", size=4))
        publisher = await enter(open_publisher(nowhere, exchange_name("none")))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        metrics = ProcessMetrics()
        intake = await enter(
            open_intake(
                pool,
                fresh,
                largest_backlog=largest_backlog,
                table=table,
                on_commit=metrics.committed,
            )
        )
        quotas = await enter(open_quotas(pool, table.quota))
        parts = Parts(
            table=table, prefix="none", amqp_url=nowhere, pool=pool, publisher=publisher,
            intake=intake, fresh=fresh, metrics=metrics,
            catalog=Catalog(), waiting=await enter(open_waiting(pool, database_url)),
            stream=await enter(open_stream(pool)), watch=await enter(open_watch(pool)),
            quotas=quotas, entry=Entry(pool, backlog=intake.backlog, quotas=quotas),
            authenticator=ANYBODY,
        )  # fmt: skip
        yield replace(parts, **changes)


@asynccontextmanager
async def api(database_url: str, table: RoutingTable = TABLE) -> AsyncIterator[HttpClient]:
    """A client of one API process."""
    async with open_parts(database_url, table) as parts:
        yield client_of(parts)
