"""The yard at a glance, as an operator looks at it: straight in database and broker."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import routing
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.services.charts import Charted, Wish
    from taskyard.services.overview import Overview

ReadOverview = Callable[[], Awaitable["Overview"]]


@asynccontextmanager
async def open_overview(given: Settings) -> AsyncIterator[ReadOverview]:
    """Yield what returns how everything stands, as often as it is called."""
    from taskyard.services.overview import overlook
    from taskyard.storage.pool import open_pool

    table = routing(given)
    async with open_pool(given.database_url, name="top", size=1) as connections:

        async def read() -> "Overview":
            return await overlook(
                table, connections=connections, amqp_url=given.amqp_url, prefix=given.prefix
            )

        yield read


async def read_chart(given: Settings, wish: "Wish") -> "Charted":
    """Return what happened to the tasks of all tenants. Raises StorageUnavailable."""
    from taskyard.services.charts import chart
    from taskyard.storage.pool import open_pool

    async with open_pool(given.database_url, name="statistics", size=1) as connections:
        return await chart(connections, wish, now=datetime.now(UTC))
