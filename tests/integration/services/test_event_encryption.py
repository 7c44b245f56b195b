"""Events from outside, in the database: sealed while they wait and are kept, read as they came."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.principal import DEFAULT_TENANT, Owner
from taskyard.core.routing import RoutingTable
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import STRUCTURED, Delivery
from taskyard.services.ingest import Ingest
from taskyard.services.parked_events import ReplayParkedRequest, replay_parked
from taskyard.services.reencrypt import reencrypt
from taskyard.storage import inbox, parked
from taskyard.storage.encryption import count_keys
from taskyard.storage.parked import ParkedWanted
from taskyard.storage.pool import OwnPool, borrowed, connect, open_pool
from taskyard.storage.sealing import NO_KEYS, KeyRing
from tests.encryption import columns_with, ring
from tests.events import THUMBNAILS, event, structured, table
from tests.own import entry_of, own

PLAIN = {"inbox_events.document", "parked_events.body", "parked_events.detail", "tasks.args"}


async def arrive(pool: OwnPool, routing: RoutingTable, canary: str) -> Ingest:
    """Take in an event that fires, one that a rule trips over, and one that is no JSON."""
    ingest = Ingest(pool, table=routing, catalog=Catalog())
    fires = event(1, data={"key": canary, "size": 7})
    trips = event(2, data={"key": canary, "size": [canary]})
    bodies = [structured(fires).body, structured(trips).body, f'{{"{canary}'.encode()]
    given = [Delivery(body=body, content_type=STRUCTURED) for body in bodies]
    await ingest.take_in([ingest.look(each, now=datetime.now(UTC)) for each in given])
    return ingest


@pytest.mark.parametrize("keys", [ring("k1"), NO_KEYS], ids=["sealed", "plain"])
async def test_an_event_leaves_no_trace_and_is_read_as_it_came(
    database_url: str, keys: KeyRing
) -> None:
    """With a key the rows do not hold its data; without one they do, so the search finds it."""
    canary = f"canary{uuid4().hex}"
    routing = table(THUMBNAILS)
    async with open_pool(database_url, name="tests", size=2, ring=keys) as pool:
        # Given events of all kinds
        ingest = await arrive(own(pool), routing, canary)
        # When the database is searched
        with psycopg.connect(database_url) as session:
            found = columns_with(session, canary)
        # Then it holds the canary only where there is no key
        if keys is NO_KEYS:
            assert {"inbox_events.document", "parked_events.body", "tasks.args"} <= found <= PLAIN
        else:
            assert found == set()
        # And whoever may read them reads them as they came
        async with borrowed(own(pool)) as connection:
            log = (await inbox.page(connection, inbox.Wanted(), below=None, limit=10)).rows
            waiting = (await parked.page(connection, ParkedWanted(), below=None, limit=10)).rows
        assert {each.document["data"]["key"] for each in log} == {canary}
        assert canary.encode() in b"".join(each.body or b"" for each in waiting)
        wish = ReplayParkedRequest(all=True)
        report = await replay_parked(own(pool), ingest, entry_of(pool), wish, now=datetime.now(UTC))
        assert report.count == len(waiting)


async def test_events_are_written_anew(database_url: str) -> None:
    """Those that fired and those that wait, from plain to sealed."""
    canary = f"canary{uuid4().hex}"
    async with open_pool(database_url, name="tests", size=2) as pool:
        await arrive(own(pool), table(THUMBNAILS), canary)
    async with await connect(database_url, name="tests", ring=ring("k1")) as connection:
        await reencrypt(connection, on_batch=lambda *_: None)
        assert {each.key for each in await count_keys(connection)} == {"k1"}
        connection.owner = Owner(DEFAULT_TENANT)
        async with connection.transaction():
            waiting = (await parked.page(connection, ParkedWanted(), below=None, limit=10)).rows
    assert canary.encode() in b"".join(each.body or b"" for each in waiting)
    with psycopg.connect(database_url) as session:
        assert columns_with(session, canary) == set()
