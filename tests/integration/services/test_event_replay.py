"""Replay of events and of parked events, on a real server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from taskyard.core.errors import BacklogFull, EventNotFound, InvalidRequest, QuotaExceeded
from taskyard.core.events import EventKey, ParkReason, Publisher
from taskyard.core.quotas import Quota
from taskyard.core.routing import RoutingTable
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import STRUCTURED, Delivery
from taskyard.services.entry import Entry
from taskyard.services.event_filter import ParkedFilter
from taskyard.services.event_replay import (
    EventReplayReport,
    ReplayEventsRequest,
    replay_events,
)
from taskyard.services.ingest import Ingest
from taskyard.services.parked_events import (
    ParkedReplayReport,
    ReplayParkedRequest,
    replay_one,
    replay_parked,
)
from taskyard.services.retain import forget_events
from taskyard.storage.pool import Pool, open_pool
from tests.events import THUMBNAILS, Connection, event, rows, structured, table
from tests.own import entry_of, own

HOUR = timedelta(hours=1)
COUNT = "SELECT count(*) FROM tasks"
KEYS = "SELECT key FROM parked_events ORDER BY key"


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=4) as opened:
        yield opened


def ingest_of(pool: Pool, routing: RoutingTable) -> Ingest:
    return Ingest(own(pool), table=routing, catalog=Catalog())


async def arrive(pool: Pool, routing: RoutingTable, *documents: Any) -> None:
    ingest = ingest_of(pool, routing)
    given = [Delivery(body=structured(each).body, content_type=STRUCTURED) for each in documents]
    await ingest.take_in([ingest.look(each, now=datetime.now(UTC)) for each in given])


async def replay(
    pool: Pool, routing: RoutingTable, entry: Entry | None = None, **changes: Any
) -> EventReplayReport:
    now = datetime.now(UTC)
    wish = ReplayEventsRequest(**{"after": now - HOUR, "before": now + HOUR, **changes})
    return await replay_events(
        own(pool),
        wish,
        table=routing,
        catalog=Catalog(),
        entry=entry or entry_of(pool),
        now=now,
        after=None,
    )  # fmt: skip


async def replay_all(
    pool: Pool, routing: RoutingTable, entry: Entry | None = None, **changes: Any
) -> ParkedReplayReport:
    wish, now = ReplayParkedRequest(**{"all": True, **changes}), datetime.now(UTC)
    ingest = ingest_of(pool, routing)
    return await replay_parked(own(pool), ingest, entry or entry_of(pool), wish, now=now)


async def test_a_replay_fires_again_as_another_generation(
    connection: Connection, pool: Pool
) -> None:
    """New tasks, though the rule has a dedupe key; the event names the tasks of both."""
    routing = table({**THUMBNAILS, "dedupe": "'always the same'"})
    await arrive(pool, routing, event(1), event(2))
    assert await rows(connection, COUNT) == [1]
    for generation in (2, 3):
        report = await replay(pool, routing)
        assert (report.events, report.fired, dict(report.tasks)) == (2, 2, {"image.thumbnail": 2})
        assert await rows(connection, COUNT) == [generation]
    made = "SELECT generation, jsonb_path_query_array(tasks, '$.generation') FROM inbox_events"
    assert await rows(connection, made) == [(3, [1, 2, 3])] * 2
    named = "SELECT DISTINCT jsonb_array_elements(tasks)->>'task' AS t FROM inbox_events ORDER BY t"
    assert await rows(connection, named) == await rows(
        connection, "SELECT id::text FROM tasks ORDER BY 1"
    )


async def test_a_replay_stops_where_there_is_no_room_for_more(
    connection: Connection, pool: Pool
) -> None:
    """What was fired stays so, and the next one goes on from there; without room, it is refused."""
    # Given five events and room for two tasks
    routing, now = table(THUMBNAILS), datetime.now(UTC)
    await arrive(pool, routing, *(event(n) for n in range(5)))
    await connection.execute("DELETE FROM tasks")
    entry = entry_of(pool, quota=Quota(queued=2))
    # When they are replayed
    report = await replay(pool, routing, entry)
    # Then two fire, and the report says why not the others
    assert (report.events, report.fired) == (2, 2)
    assert isinstance(report.stopped, QuotaExceeded)
    with pytest.raises(QuotaExceeded):
        await replay(pool, routing, entry)
    assert await rows(connection, COUNT) == [2]
    # When there is room, then the others fire once
    wish = ReplayEventsRequest(after=now - HOUR, before=now + HOUR)
    rest = await replay_events(
        own(pool), wish, table=routing, catalog=Catalog(), entry=entry_of(pool), now=now,
        after=report.last,
    )  # fmt: skip
    assert (rest.fired, rest.stopped) == (3, None)
    generations = "SELECT id, generation FROM inbox_events ORDER BY id"
    assert await rows(connection, generations) == [(f"e{n}", 2) for n in range(5)]


async def test_a_dry_run_tells_the_same_and_changes_nothing(
    connection: Connection, pool: Pool
) -> None:
    """Also for what no rule fires for and what a rule fails on."""
    routing = table(
        THUMBNAILS, {"name": "b", "match": "bad", "task": "mail.send", "when": "abs(id)"}
    )
    given = [event(1), event(2, data={"size": 0}), event(3, type="bad"), event(4, type="other")]
    await arrive(pool, routing, *given)
    before = await rows(connection, "SELECT key, state, generation, tasks FROM inbox_events")
    report = await replay(pool, routing, dry_run=True)
    assert (report.events, report.fired, report.unmatched, report.refused) == (4, 1, 1, 2)
    assert (
        await rows(connection, "SELECT key, state, generation, tasks FROM inbox_events") == before
    )
    assert await rows(connection, COUNT) == [1]


async def test_a_replay_keeps_to_its_range_its_pattern_and_its_limit(
    connection: Connection, pool: Pool
) -> None:
    """What the limit leaves out is reached from where the report ended."""
    routing = table({**THUMBNAILS, "match": "#", "when": "`true`"})
    await arrive(pool, routing, *(event(n, type=f"a.{n % 2}") for n in range(10)))
    now = datetime.now(UTC)
    assert (await replay(pool, routing, before=now - HOUR, after=now - 2 * HOUR)).events == 0
    assert (await replay(pool, routing, match="a.1")).events == 5
    report = await replay(pool, routing, match="*.0", limit=3)
    assert report.events == 3
    wish = ReplayEventsRequest(after=now - HOUR, before=now + HOUR, match="*.0")
    rest = await replay_events(
        own(pool),
        wish,
        table=routing,
        catalog=Catalog(),
        entry=entry_of(pool),
        now=now,
        after=report.last,
    )
    assert rest.events == 2
    assert await rows(connection, COUNT) == [20]
    with pytest.raises(InvalidRequest):
        await replay(pool, routing, match="a.b*")
    with pytest.raises(InvalidRequest):
        await replay(pool, routing, before=now - 2 * HOUR)


async def test_what_was_parked_fires_once_the_rule_is_mended(
    connection: Connection, pool: Pool
) -> None:
    """Of several reasons; what still cannot be used stays, with the reason of today."""
    # Given rules that are wrong for two events of three
    broken = table({**THUMBNAILS, "match": "uplaod.#"}, {"name": "b", "match": "bad",
                   "task": "mail.send", "when": "abs(id)"})  # fmt: skip
    await arrive(pool, broken, event(1), event(2, type="bad"), event(3, type="nobody"))
    assert await rows(connection, "SELECT reason FROM parked_events ORDER BY key") == [
        "unmatched", "expression-failed", "unmatched",
    ]  # fmt: skip
    # When they are mended and the parked events replayed, first in a dry run
    mended = table(THUMBNAILS, {"name": "b", "match": "bad", "task": "mail.send"})
    dry = await replay_all(pool, mended, dry_run=True)
    assert (dry.count, dry.released, dry.tasks) == (3, 2, 2)
    assert len(await rows(connection, KEYS)) == 3
    report = await replay_all(pool, mended)
    # Then two have fired, and a second replay fires nothing
    assert (report.count, report.released, report.tasks) == (3, 2, 2)
    assert [reason for _, reason, _ in report.problems] == [ParkReason.UNMATCHED]
    assert await rows(connection, "SELECT id, state FROM inbox_events ORDER BY id") == [
        ("e1", "fired"), ("e2", "fired"), ("e3", "parked"),
    ]  # fmt: skip
    again = await replay_all(pool, mended)
    assert (again.count, again.released) == (1, 0)
    assert await rows(connection, "SELECT replays FROM parked_events") == [2]
    assert await rows(connection, COUNT) == [2]
    named = """SELECT count(*) FROM inbox_events, jsonb_array_elements(tasks) AS made
               JOIN tasks AS task ON task.id::text = made->>'task'"""
    assert await rows(connection, named) == [2]


async def test_parked_events_are_released_as_far_as_there_is_room(
    connection: Connection, pool: Pool
) -> None:
    """The others stay parked, and the report says why; what makes no task needs no room."""
    # Given five parked events, the first of which makes no task today either, and room for two
    routing = table(THUMBNAILS)
    await arrive(pool, table(), event(0, type="other"), *(event(n) for n in range(1, 5)))
    entry = entry_of(pool, quota=Quota(queued=2))
    # When they are replayed
    report = await replay_all(pool, routing, entry)
    # Then two are released, three stay
    assert (report.count, report.released, report.more) == (3, 2, True)
    assert isinstance(report.stopped, QuotaExceeded)
    with pytest.raises(QuotaExceeded):
        await replay_all(pool, routing, entry)
    fired = "SELECT id FROM inbox_events WHERE state = 'fired' ORDER BY id"
    assert await rows(connection, fired) == ["e1", "e2"]
    assert await rows(connection, COUNT) == [2]
    # When there is room, then the others are released as well
    rest = await replay_all(pool, routing)
    assert (rest.released, rest.more, rest.stopped) == (2, False, None)


async def test_what_could_not_be_read_is_read_again(connection: Connection, pool: Pool) -> None:
    """From another user, once that is allowed; what was too large can never be read."""
    strict, lax = table(THUMBNAILS, user_id_is_source=True), table(THUMBNAILS)
    ingest = ingest_of(pool, strict)
    body = structured(event(1)).body
    given = [
        Delivery(body=body, content_type=STRUCTURED, user_id="mallory"),
        Delivery(body=body, content_type=STRUCTURED, user_id="mallory"),
        Delivery(body=b" " * 2_000_000, content_type=STRUCTURED),
        Delivery(body=b"{", content_type=STRUCTURED),
    ]
    now = datetime.now(UTC)
    await ingest.take_in([ingest.look(each, now=now) for each in given])
    assert (await replay_all(pool, strict)).released == 0
    # The same event twice is one event, also here.
    report = await replay_all(pool, lax)
    assert (report.count, report.released) == (4, 2)
    assert {reason for _, reason, _ in report.problems} == {"too-large", "not-json"}
    assert await rows(connection, COUNT) == [1]
    assert await rows(connection, "SELECT id, state FROM inbox_events") == [("e1", "fired")]


async def test_where_there_are_publishers_the_routing_key_is_the_type(
    connection: Connection, pool: Pool
) -> None:
    """The broker checks keys, not bodies; a key is not kept, so what was parked for it stays."""
    rules = replace(table(THUMBNAILS).events, publishers=(Publisher(name="shop"),))
    routing = replace(table(THUMBNAILS), events=rules)
    ingest, now = ingest_of(pool, routing), datetime.now(UTC)
    honest, forged = event()["type"], "order.placed"
    given = [
        Delivery(body=structured(event(n)).body, content_type=STRUCTURED, routing_key=key)
        for n, key in enumerate((honest, forged, None))  # over HTTP there is no key
    ]
    await ingest.take_in([ingest.look(each, now=now) for each in given])
    fired = "SELECT id FROM inbox_events WHERE state = 'fired' ORDER BY id"
    assert await rows(connection, fired) == ["e0", "e2"]
    assert await rows(connection, "SELECT reason FROM parked_events") == ["wrong-routing-key"]
    report = await replay_all(pool, routing)
    assert (report.count, report.released) == (1, 0)


async def test_a_filter_says_which_parked_events_are_meant(
    connection: Connection, pool: Pool
) -> None:
    """Reason, source, type and time; an empty one needs `all`; one may be named by its key."""
    routing = table(THUMBNAILS)
    given = [event(n, type=t, source=s) for n, t, s in ((1, "a.b", "/x"), (2, "a.c", "/y"))]
    await arrive(pool, routing, *given, 7)
    one, two, three = await rows(connection, KEYS)
    now = datetime.now(UTC)

    async def matching(**filters: Any) -> int:
        wish = ParkedFilter(**filters)
        return (await replay_all(pool, routing, all=False, filter=wish, dry_run=True)).count

    assert await matching(reason=ParkReason.UNMATCHED) == 2
    assert await matching(reason=ParkReason.INVALID) == 1
    assert await matching(source="/x") == 1
    assert await matching(match="a.*") == 2
    assert await matching(received_before=now - HOUR) == 0
    assert await matching(received_after=now - HOUR) == 3
    with pytest.raises(InvalidRequest, match="which events"):
        await matching()
    wide = table({**THUMBNAILS, "match": "a.*", "when": "`true`"})
    ingest = ingest_of(pool, wide)
    this = partial(replay_one, own(pool), ingest, key=EventKey(two), now=now)
    with pytest.raises(BacklogFull):
        await this(entry_of(pool, largest=0))
    assert (await this(entry_of(pool))).released == 1
    with pytest.raises(EventNotFound):
        await this(entry_of(pool))
    assert await rows(connection, KEYS) == [one, three]


async def test_events_are_kept_for_their_retention_and_then_removed(
    connection: Connection, pool: Pool
) -> None:
    """Parked ones too, many steps of the sweep long; their tasks have a retention of their own."""
    routing = table(THUMBNAILS, retention="2h")
    await arrive(pool, routing, *(event(n) for n in range(1100)), event("p", type="nobody"), 7)
    now = datetime.now(UTC)
    assert await forget_events(pool, routing, now=now + HOUR) == 0
    assert await forget_events(pool, routing, now=now + 3 * HOUR) == 1103
    left = "SELECT (SELECT count(*) FROM inbox_events) + (SELECT count(*) FROM parked_events)"
    assert await rows(connection, left) == [0]
    assert await rows(connection, COUNT) == [1100]


async def test_an_event_that_the_database_refuses_spoils_no_other(
    connection: Connection, pool: Pool
) -> None:
    """It is found among its neighbours, parked whole, and taken in once that is possible."""
    routing = table(THUMBNAILS)
    await connection.execute("ALTER TABLE inbox_events ADD CONSTRAINT odd CHECK (id <> 'e5')")
    await arrive(pool, routing, *(event(n) for n in range(9)))
    assert await rows(connection, COUNT) == [8]
    assert await rows(connection, "SELECT reason FROM parked_events") == ["unstorable"]
    await connection.execute("ALTER TABLE inbox_events DROP CONSTRAINT odd")
    assert (await replay_all(pool, routing)).released == 1
    assert await rows(connection, COUNT) == [9]


async def test_replays_are_in_the_audit_log(connection: Connection, pool: Pool) -> None:
    """What was fired again and what was released, but not what was only tried."""
    routing = table(THUMBNAILS)
    await arrive(pool, routing, event(1))
    await arrive(pool, table(), event(2))
    for dry_run in (True, False):
        await replay_all(pool, routing, dry_run=dry_run)
        await replay(pool, routing, dry_run=dry_run)
    recorded = "SELECT action, detail->>'count' FROM audit_log ORDER BY seq"
    expected = [("parked-events.replayed", "1"), ("events.replayed", "2")]
    assert await rows(connection, recorded) == expected
