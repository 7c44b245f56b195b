"""Lists of events are bounded by bytes, on a real server."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from taskyard.core.events import EventKey
from taskyard.core.retention import first_id_at
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import STRUCTURED, Delivery
from taskyard.services.ingest import Ingest
from taskyard.storage import inbox, parked
from taskyard.storage.parked import ParkedWanted
from taskyard.storage.pool import Pool, borrowed, open_pool
from tests.events import event, structured, table
from tests.own import own

LARGE = {"text": "x" * 900_000}  # an event has a mebibyte at most
FIT = 9  # of them in a page of 8 MiB


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Given twelve large events that no rule matched, and a small one behind them."""
    async with open_pool(database_url, name="tests", size=2) as opened:
        ingest = Ingest(own(opened), table=table(), catalog=Catalog())
        for each in (*(event(n, data=LARGE) for n in range(12)), event(12)):
            given = Delivery(body=structured(each).body, content_type=STRUCTURED)
            await ingest.take_in([ingest.look(given, now=datetime.now(UTC))])
        yield opened


async def test_a_page_of_the_log_ends_where_it_would_be_too_large(pool: Pool) -> None:
    """What follows is on the next page, and nothing is left out or shown twice."""
    below, sizes, names = None, [], []
    while True:
        async with borrowed(own(pool)) as connection:
            page = await inbox.page(connection, inbox.Wanted(), below=below, limit=100)
        sizes.append(len(page.rows))
        names += [each.id for each in page.rows]
        if not page.more:
            break
        below = page.rows[-1].key
    assert sizes == [1 + FIT, 12 - FIT]
    assert names == [f"e{n}" for n in reversed(range(13))]


async def test_a_walk_in_the_order_of_arrival_has_steps_of_the_same_size(pool: Pool) -> None:
    """A replay of events holds no more of them in memory."""
    until = EventKey(first_id_at(datetime.now(UTC).replace(year=2100)))
    for keep in (False, True):
        async with borrowed(own(pool)) as connection:
            step = await inbox.walk(
                connection, after=EventKey(UUID(int=0)), until=until, matching=None, limit=100,
                keep=keep,
            )  # fmt: skip
        assert [each.id for each in step.rows] == [f"e{n}" for n in range(FIT)]
        assert step.more


async def test_parked_events_come_in_pages_and_steps_of_that_size(pool: Pool) -> None:
    """Though of a body only the beginning is shown, their events are shown whole."""
    async with borrowed(own(pool)) as connection:
        page = await parked.page(connection, ParkedWanted(), below=None, limit=100)
        assert (len(page.rows), page.more) == (1 + FIT, True)
        start = EventKey(UUID(int=0))
        step = await parked.take(connection, wanted=ParkedWanted(), after=start, limit=100)
        assert (len(step.rows), step.more) == (FIT, True)


async def test_rows_that_fit_end_where_the_limit_is(pool: Pool) -> None:
    """More may follow then, and only then."""
    for limit, more in ((3, True), (100, False)):
        async with borrowed(own(pool)) as connection:
            wanted = ParkedWanted(source="/nobody") if not more else ParkedWanted()
            page = await parked.page(connection, wanted, below=None, limit=limit)
        assert (len(page.rows), page.more) == ((3, True) if more else (0, False))
