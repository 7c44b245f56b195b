"""Events, rules and an ingest for the tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aio_pika
import psycopg

from taskyard.broker.consumer import Consumer, open_consumer
from taskyard.broker.topology import ingest_queue
from taskyard.core.errors import Fault
from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from taskyard.core.rules import EventRules
from taskyard.ingest import HELD, consume
from taskyard.routing_events import read_events
from taskyard.services.backlog import open_backlog
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import STRUCTURED
from taskyard.services.entry import Entry
from taskyard.services.ingest import Ingest
from taskyard.services.quotas import open_quotas
from taskyard.stopping import end
from taskyard.storage.pool import open_pool
from tests.own import own

Connection = psycopg.AsyncConnection[Any]
Json = dict[str, Any]

THUMBNAILS: Json = {
    "name": "thumbnails",
    "match": "upload.*.created",
    "when": "data.size > `0`",
    "task": "image.thumbnail",
    "args": {"source": "data.key", "width": "`128`"},
}


def rules(*given: Json, **events: Any) -> EventRules:
    """Rules as events.toml would hold them."""
    faults: list[Fault] = []
    found = read_events({"rule": list(given), "events": events}, faults)
    assert faults == []
    return found


def table(*given: Json, **events: Any) -> RoutingTable:
    """A routing table with one pool and these rules."""
    pool = Pool(name="p", tasks=("image.*", "mail.*"), modules=("m",))
    return RoutingTable(
        pools={"p": pool},
        defaults={"mail.small": TaskDefaults(max_args=64)},
        events=rules(*given, **events),
    )


def event(number: object = 1, **changes: Any) -> Json:
    """A CloudEvent in its JSON form."""
    return {
        "specversion": "1.0",
        "id": f"e{number}",
        "source": "/uploads",
        "type": "upload.image.created",
        "data": {"key": f"inputs/{number}.png", "size": 7},
        **changes,
    }


def structured(document: Any, **properties: Any) -> aio_pika.Message:
    """An event in structured mode."""
    given = {"content_type": STRUCTURED, **properties}
    return aio_pika.Message(json.dumps(document).encode(), **given)


@asynccontextmanager
async def events_exchange(
    amqp_url: str, prefix: str
) -> AsyncIterator[aio_pika.abc.AbstractExchange]:
    """Where services publish."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        yield await channel.get_exchange(f"{prefix}.events", ensure=False)


@asynccontextmanager
async def ingesting(
    database_url: str,
    amqp_url: str,
    prefix: str,
    routing: RoutingTable,
    *,
    largest: int = 10_000_000,
    **options: Any,
) -> AsyncIterator[Consumer]:
    """An ingest at work."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(open_pool(database_url, name="tests", size=4))
        queue = ingest_queue(prefix)
        consumer = await enter(open_consumer(amqp_url, queue, bounds=HELD, **options))
        ingest = Ingest(own(pool), table=routing, catalog=options.get("catalog") or Catalog())
        backlog = await enter(open_backlog(pool, largest=largest, table=routing))
        quotas = await enter(open_quotas(pool, routing.quota))
        entry = Entry(pool, backlog=backlog, quotas=quotas)
        running = asyncio.create_task(consume(consumer, ingest, entry))
        try:
            yield consumer
        finally:
            await end(running)


async def until(
    ask: Callable[[], Awaitable[Any]], expected: object, *, within: float = 20.0
) -> None:
    """Wait until what is asked for is as expected."""
    deadline = asyncio.get_running_loop().time() + within
    while (found := await ask()) != expected:
        assert asyncio.get_running_loop().time() < deadline, f"{found} is not {expected}"
        await asyncio.sleep(0.02)


async def rows(connection: Connection, query: str) -> list[Any]:
    """What a query answers: rows, or their only column."""
    found = await (await connection.execute(query.encode())).fetchall()
    return [row[0] if len(row) == 1 else row for row in found]


def headers(document: Mapping[str, Any], prefix: str = "cloudEvents:") -> dict[str, Any]:
    """The attributes of an event as headers of binary mode."""
    return {f"{prefix}{k}": v for k, v in document.items() if k not in ("data", "datacontenttype")}
