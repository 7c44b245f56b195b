"""The ingest on real servers: every event exactly one set of tasks, whatever arrives."""

import asyncio
import json
from typing import Any

import aio_pika
import pytest

from taskyard.broker.declare import connected
from taskyard.broker.topology import ingest_queue
from taskyard.services.topology import apply_topology
from tests.events import (
    THUMBNAILS,
    Connection,
    event,
    events_exchange,
    headers,
    ingesting,
    rows,
    structured,
    table,
    until,
)

MAIL = {"name": "mails", "match": "upload.#", "task": "mail.send", "args": {"to": "data.owner"}}
TABLE = table(THUMBNAILS, MAIL)
TASKS = "SELECT type, args->>'source', args->>'to', labels->>'rule' FROM tasks ORDER BY type"
STATES = "SELECT id, state FROM inbox_events ORDER BY id"
PARKED = "SELECT reason FROM parked_events ORDER BY key"


@pytest.fixture
async def topology(connection: Connection, amqp_url: str, prefix: str) -> None:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)


def in_queue(amqp_url: str, prefix: str) -> int:
    """Once nobody consumes, the broker holds ready what was not acknowledged."""
    with connected(amqp_url) as broker:
        found = broker.channel().queue_declare(ingest_queue(prefix), passive=True)
        return int(found.message_count)


@pytest.mark.usefixtures("topology")
async def test_binary_and_structured_events_make_the_tasks_of_every_rule(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Both header prefixes of the AMQP binding, and application/cloudevents+json."""
    # Given three events in three forms
    one, two, three = (event(n, data={"key": f"{n}", "size": 1, "owner": "o"}) for n in (1, 2, 3))
    async with events_exchange(amqp_url, prefix) as exchange:
        for document, spelt in ((one, "cloudEvents:"), (two, "cloudEvents_")):
            body = json.dumps(document["data"]).encode()
            message = aio_pika.Message(
                body, content_type="application/json", headers=headers(document, spelt)
            )
            await exchange.publish(message, "any.key")
        await exchange.publish(structured(three), "any.key")
        # When they are ingested
        async with ingesting(database_url, amqp_url, prefix, TABLE):
            await until(lambda: rows(connection, STATES), [(f"e{n}", "fired") for n in (1, 2, 3)])
    # Then each made one task of each rule, with arguments by expression; what is null is left out
    expected = [("image.thumbnail", str(n), None, "thumbnails") for n in (1, 2, 3)]
    expected += [("mail.send", None, "o", "mails")] * 3
    assert sorted(await rows(connection, TASKS), key=str) == sorted(expected, key=str)
    assert in_queue(amqp_url, prefix) == 0


@pytest.mark.usefixtures("topology")
async def test_a_redelivered_event_makes_nothing_new(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Twice in a transaction, twice in two; the id of another source is another event."""
    async with (
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(database_url, amqp_url, prefix, table(THUMBNAILS)),
    ):
        for _ in range(2):
            await exchange.publish(structured(event(1)), "k")
            await exchange.publish(structured(event(1)), "k")
            await until(lambda: rows(connection, STATES), [("e1", "fired")])
        await exchange.publish(structured(event(1, source="/other")), "k")
        await until(lambda: rows(connection, STATES), [("e1", "fired")] * 2)
        count = "SELECT count(*) FROM tasks"
        assert await rows(connection, count) == [2]


BAD: list[tuple[str, bytes, dict[str, Any]]] = [
    ("not-json", b"{", {"content_type": "application/cloudevents+json"}),
    ("not-json", b"\xff\xfe", {"content_type": "application/cloudevents+json"}),
    ("not-json", b'{"a', {"content_type": "application/json", "headers": headers(event(9))}),
    ("invalid-event", b"[]", {"content_type": "application/cloudevents+json"}),
    ("invalid-event", b'{"specversion": "1.0", "id": "1"}',
     {"content_type": "application/cloudevents+json"}),
    ("invalid-event", b'{"a": NaN}', {"content_type": "application/cloudevents+json"}),
    ("invalid-event", b'"\\u0000"', {"content_type": "application/cloudevents+json"}),
    ("invalid-event", b"[" * 200_000, {"content_type": "application/cloudevents+json"}),
    ("invalid-event", b"", {"headers": headers(event(9, id="\0"))}),
    ("invalid-event", b"", {"headers": headers(event(9, time="yesterday"))}),
    ("wrong-content-type", b"x", {"content_type": "text/plain"}),
    ("wrong-content-type", b"{}", {"content_type": "application/json"}),
    ("wrong-content-type", b"{}", {}),
    ("wrong-content-type", b"x", {"content_type": "text/plain", "headers": headers(event(9))}),
    ("wrong-content-type", b"x", {"content_type": "application/cloudevents+avro"}),
    ("unknown-encoding", b"{}", {"content_type": "application/cloudevents+json",
                                 "content_encoding": "gzip"}),
    ("unknown-encoding", b"{}", {"content_type": "application/cloudevents+json; charset=utf-16"}),
    ("too-large", b" " * 1_048_577, {"content_type": "application/cloudevents+json"}),
]  # fmt: skip


@pytest.mark.usefixtures("topology")
async def test_what_is_no_event_is_parked_with_its_reason_and_spoils_nothing(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Good events between bad ones are taken in by the same transaction."""
    # Given bad messages, a good event after each of them
    async with events_exchange(amqp_url, prefix) as exchange:
        for number, (_, body, properties) in enumerate(BAD):
            await exchange.publish(aio_pika.Message(body, **properties), "k")
            await exchange.publish(structured(event(f"{number:02}")), "k")
    # When they are ingested
    async with ingesting(database_url, amqp_url, prefix, table(THUMBNAILS)):
        fired = [(f"e{number:02}", "fired") for number in range(len(BAD))]
        await until(lambda: rows(connection, STATES), fired)
        # Then each bad one is parked for its own reason, and none is left in the broker
        await until(lambda: rows(connection, PARKED), [reason for reason, _, _ in BAD])
    assert in_queue(amqp_url, prefix) == 0
    [(kept, size)] = await rows(
        connection,
        "SELECT length(body), size FROM parked_events WHERE reason = 'too-large'",
    )
    assert (kept, size) == (65_536, 1_048_577)


@pytest.mark.usefixtures("topology")
async def test_an_event_that_no_rule_can_serve_is_parked_and_makes_no_task(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Nothing matches; a condition fails; arguments are too large; one rule of two fails."""
    broken = {"name": "broken", "match": "order.*", "task": "mail.send", "when": "length(data)"}
    large = {"name": "large", "match": "letter", "task": "mail.small", "args": {"x": "data"}}
    fine = {"name": "fine", "match": "order.*", "task": "mail.send"}
    routing = table(fine, broken, large, {**fine, "name": "gone", "match": "gone",
                                          "dedupe": "data.none"}, THUMBNAILS)  # fmt: skip
    given = [
        event(1, type="nobody.knows"),
        event(2, type="order.made", data=7),
        event(3, type="letter", data="x" * 100),
        event(4, type="gone"),
        event(5, data={"size": 0}),
    ]
    async with (
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(database_url, amqp_url, prefix, routing),
    ):
        for document in given:
            await exchange.publish(structured(document), "k")
        # The last is declined by a rule that knows it: that is no fault, and is not parked.
        states = [(f"e{n}", "parked") for n in (1, 2, 3, 4)] + [("e5", "unmatched")]
        await until(lambda: rows(connection, STATES), states)
    reasons = ["unmatched", "expression-failed", "unfit-task", "expression-failed"]
    assert await rows(connection, PARKED) == reasons
    details = await rows(connection, "SELECT detail FROM parked_events ORDER BY key")
    assert "rule 'broken', when: " in details[1]
    assert "rule 'large'" in details[2]
    assert "dedupe" in details[3]
    assert await rows(connection, "SELECT count(*) FROM tasks") == [0]


@pytest.mark.usefixtures("topology")
async def test_events_with_one_dedupe_value_make_one_task(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Whatever their arguments; both events name the task that was made."""
    routing = table({**THUMBNAILS, "dedupe": "subject"})
    async with (
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(database_url, amqp_url, prefix, routing),
    ):
        for number, subject in ((1, "a"), (2, "a"), (3, "b")):
            await exchange.publish(structured(event(number, subject=subject)), "k")
            await until(lambda: rows(connection, "SELECT count(*) FROM inbox_events"), [number])
    made = "SELECT tasks->0->>'task' FROM inbox_events ORDER BY id"
    one, two, three = await rows(connection, made)
    assert one == two != three
    assert set(await rows(connection, "SELECT id::text FROM tasks")) == {one, three}


@pytest.mark.usefixtures("topology")
async def test_a_source_must_be_the_publishing_user_where_that_is_demanded(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """The broker vouches for the user-id property (it refuses another user's)."""
    user = amqp_url.split("//")[1].split(":", maxsplit=1)[0]
    routing = table(THUMBNAILS, user_id_is_source=True)
    async with (
        events_exchange(amqp_url, prefix) as exchange,
        ingesting(database_url, amqp_url, prefix, routing),
    ):
        for number, source in enumerate((f"/{user}/web", user, "/somebody", f"{user}x")):
            message = structured(event(number, source=source), user_id=user)
            await exchange.publish(message, "k")
        await exchange.publish(structured(event(9, source=user)), "k")
        await until(lambda: rows(connection, PARKED), ["wrong-user-id"] * 3)
        await until(lambda: rows(connection, STATES), [("e0", "fired"), ("e1", "fired")])


@pytest.mark.usefixtures("topology")
async def test_a_lost_queue_is_noticed_and_consumed_again_once_it_is_back(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """A deleted queue cancels the consumer in silence: looking at the queue finds it out."""
    async with ingesting(
        database_url, amqp_url, prefix, table(THUMBNAILS), look_after=0.1
    ) as consumer:
        async with asyncio.timeout(10):
            await consumer.connected.wait()
        with connected(amqp_url) as broker:
            broker.channel().queue_delete(ingest_queue(prefix))
        await until(lambda: _value(consumer.connected.is_set()), False)
        await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
        async with events_exchange(amqp_url, prefix) as exchange:
            await exchange.publish(structured(event(1)), "k")
        await until(lambda: rows(connection, STATES), [("e1", "fired")])


async def _value(found: object) -> object:
    return found
