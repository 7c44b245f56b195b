"""services/lifecycle.py: every change is published, whatever happens between."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings.amqp import AMQPMessage, from_amqp_event

from taskyard.broker.cloudevents import lifecycle_exchange
from taskyard.broker.publisher import Message, Publisher, open_publisher
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.wakeup import Confirm
from taskyard.drill.proxy import open_proxy
from taskyard.drill.wire import AmqpEar
from taskyard.services.lifecycle import LifecycleOutlet
from taskyard.services.relay import Relay
from taskyard.services.topology import apply_topology
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection, connect_sync, open_pool
from taskyard.storage.sealing import NO_KEYS, KeyRing
from tests.encryption import live, ring
from tests.outward import CLAIMS, ENDS, SUCCEEDS, cancelled, eventually, new
from tests.stack import NotifySocket, deployment, environment

TABLE = RoutingTable(pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})


@pytest.fixture(autouse=True)
async def topology(connection: AsyncConnection, amqp_url: str, prefix: str) -> None:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)


@asynccontextmanager
async def consuming(
    amqp_url: str, prefix: str, pattern: str
) -> AsyncIterator[list[AbstractIncomingMessage]]:
    """A service that binds a queue of its own and collects what comes."""
    heard: list[AbstractIncomingMessage] = []
    connection = await aio_pika.connect(amqp_url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(lifecycle_exchange(prefix), ensure=False)
        queue = await channel.declare_queue(f"{prefix}.listener-{uuid4().hex[:6]}", exclusive=True)
        await queue.bind(exchange, pattern)

        async def on_message(message: AbstractIncomingMessage) -> None:
            heard.append(message)

        await queue.consume(on_message, no_ack=True)
        yield heard


@asynccontextmanager
async def relaying(
    database_url: str, amqp_url: str, prefix: str, *patterns: str, keys: KeyRing = NO_KEYS
) -> AsyncIterator[Relay]:
    """A relay of lifecycle events."""
    async with (
        open_pool(database_url, name="tests", size=2, ring=keys) as pool,
        open_publisher(amqp_url, lifecycle_exchange(prefix)) as publisher,
    ):
        outlet = LifecycleOutlet(
            publisher, source=f"/{prefix}", patterns=patterns, discreet=keys is not NO_KEYS
        )
        yield Relay(pool, outlet, holder=uuid4())


async def _rounds(relay: Relay, enough: Callable[[], bool]) -> None:
    async def satisfied() -> bool:
        await relay.round()
        return enough()

    await eventually(satisfied)


async def cursor(connection: AsyncConnection) -> int:
    row = await (
        await connection.execute("SELECT position FROM relay_cursors WHERE purpose = 'lifecycle'")
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_change_is_a_cloudevent_in_binary_mode(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """The published library of CloudEvents reads it; the routing key is its type."""
    task = new()
    async with (
        consuming(amqp_url, prefix, "task.a.b.succeeded") as heard,
        relaying(database_url, amqp_url, prefix, "task.#") as relay,
    ):
        await tasks.insert(connection, [task])
        await connection.execute(CLAIMS)
        await connection.execute(SUCCEEDS, ('{"width": 128}',))
        await _rounds(relay, lambda: bool(heard))
    [message] = heard
    assert message.routing_key == "task.a.b.succeeded"
    assert message.delivery_mode == 2
    event = from_amqp_event(
        AMQPMessage(
            properties={"content-type": message.content_type},
            application_properties=dict(message.headers),
            application_data=message.body,
        )
    )
    assert event.get_id() == f"{task.id}/3"
    assert event.get_source() == f"/{prefix}"
    assert event.get_type() == "task.a.b.succeeded"
    assert event.get_subject() == str(task.id)
    data: Any = event.get_data()
    assert (data["state"], data["result"], data["seq"]) == ("succeeded", {"width": 128}, 3)
    assert (data["id"], data["labels"]) == (str(task.id), {"k": "v"})
    assert "args" not in data


async def test_a_large_result_is_left_out_and_a_null_is_not(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """News are small; `result_omitted` says that there is more to fetch."""
    async with (
        consuming(amqp_url, prefix, "task.*.*.succeeded") as heard,
        relaying(database_url, amqp_url, prefix, "task.#") as relay,
    ):
        for result in (json.dumps("x" * 20_000), "null"):
            await tasks.insert(connection, [new()])
            await connection.execute(CLAIMS)
            await connection.execute(SUCCEEDS, (result,))
        await _rounds(relay, lambda: len(heard) == 2)
    large, null = (json.loads(message.body) for message in heard)
    assert ("result" in large, large.get("result_omitted")) == (False, True)
    assert "result_omitted" not in null


async def test_what_is_not_wanted_is_passed_over(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Only the patterns of the setting are published, and with none the cursor still moves."""
    async with (
        consuming(amqp_url, prefix, "#") as heard,
        relaying(database_url, amqp_url, prefix, "task.*.*.cancelled") as relay,
    ):
        await cancelled(connection, 3)
        await _rounds(relay, lambda: len(heard) == 3)
        assert {message.routing_key for message in heard} == {"task.a.b.cancelled"}
    # Its lease would have to run out.
    await connection.execute("UPDATE relay_cursors SET held_until = '-infinity'")
    async with relaying(database_url, amqp_url, prefix) as relay:
        await cancelled(connection, 1)

        async def skipped() -> bool:
            await relay.round()
            return await cursor(connection) == 8

        await eventually(skipped)


async def test_what_nobody_hears_is_published_once_of_a_kind_and_who_binds_misses_nothing(
    connection: AsyncConnection,
    database_url: str,
    amqp_url: str,
    prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only the first change of each kind is spent on asking; a listener hears all that follows."""
    sent: list[str] = []
    send = Publisher.send

    async def counted(publisher: Publisher, messages: Sequence[Message]) -> list[Confirm]:
        sent.extend(message.routing_key for message in messages)
        return await send(publisher, messages)

    monkeypatch.setattr(Publisher, "send", counted)
    kinds = ["task.a.b.cancelled", "task.a.b.pending"]
    async with relaying(database_url, amqp_url, prefix, "task.#") as relay:
        # Given
        await cancelled(connection, 20)
        await _rounds(relay, lambda: bool(sent))
        assert sorted(sent) == kinds
        async with consuming(amqp_url, prefix, "task.*.*.cancelled") as heard:
            # When
            sent.clear()
            await cancelled(connection, 20)
            await _rounds(relay, lambda: len(heard) == 20)
            # Then
            assert sorted(sent) == [kinds[0]] * 20 + [kinds[1]]
        # When nobody is bound any more, the next round learns it and the one after spares it.
        for expected in ([kinds[0]] * 5 + [kinds[1]], kinds):
            sent.clear()
            await cancelled(connection, 5)
            await _rounds(relay, lambda: bool(sent))
            assert sorted(sent) == expected


async def test_only_one_of_several_relays_reads(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """The cursor has a lease; another takes over when it runs out."""
    async with (
        consuming(amqp_url, prefix, "#") as heard,
        relaying(database_url, amqp_url, prefix, "task.#") as one,
        relaying(database_url, amqp_url, prefix, "task.#") as other,
    ):
        await cancelled(connection, 20)
        await _rounds(one, lambda: len(heard) == 40)
        await cancelled(connection, 5)
        for _ in range(5):
            await other.round()
        assert await cursor(connection) == 40
        await connection.execute("UPDATE relay_cursors SET held_until = '-infinity'")
        await _rounds(other, lambda: len(heard) == 50)
        # The first one does not know yet: what it does now moves nothing.
        await one.round()
        assert await cursor(connection) == 50


async def test_the_cursor_waits_for_the_broker(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Without a confirm nothing counts as published."""
    await cancelled(connection, 2)
    wrong = f"{prefix}-nowhere"
    async with relaying(database_url, amqp_url, wrong, "task.#") as relay:
        for _ in range(3):
            await relay.round()
    assert await cursor(connection) == 0
    await connection.execute("UPDATE relay_cursors SET held_until = '-infinity'")
    async with (
        consuming(amqp_url, prefix, "#") as heard,
        relaying(database_url, amqp_url, prefix, "task.#") as relay,
    ):
        await _rounds(relay, lambda: len(heard) == 4)
        assert await cursor(connection) == 4


@pytest.mark.slow
async def test_nothing_is_lost_when_dispatchers_are_killed_and_the_broker_is_cut(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """A consumer bound to task.# hears every change of 200 tasks at least once."""
    parts = urlsplit(amqp_url)
    assert parts.hostname
    assert parts.port
    heard: set[str] = set()

    async def history() -> set[str]:
        rows = await connection.execute("SELECT task_id, seq FROM task_events")
        return {f"{task_id}/{seq}" for task_id, seq in await rows.fetchall()}

    async with (
        open_proxy((parts.hostname, parts.port), AmqpEar) as proxy,
        consuming(amqp_url, prefix, "task.#") as messages,
    ):
        through = amqp_url.replace(f":{parts.port}/", f":{proxy.port}/")
        process = await _dispatcher(database_url, through, prefix)
        try:
            for number in range(10):
                await tasks.insert(connection, [new() for _ in range(20)])
                if number % 3 == 1:
                    proxy.cut()
                if number in (2, 6):
                    told = len(messages)
                    await eventually(_more_than(messages, told))
                    os.kill(process.pid, signal.SIGKILL)
                    process.wait()
                    process = await _dispatcher(database_url, through, prefix)
            await connection.execute(ENDS.replace("= 'pending'", "IN ('pending', 'queued')"))

            async def complete() -> bool:
                heard.update(str(m.headers["cloudEvents_id"]) for m in messages)
                return await history() <= heard

            await eventually(complete, within=40)
        finally:
            process.terminate()
            assert process.wait(20) == 0
    assert heard == await history()
    assert len(heard) >= 400


def _more_than(messages: list[AbstractIncomingMessage], count: int) -> Any:
    async def satisfied() -> bool:
        return len(messages) > count

    return satisfied


async def _dispatcher(database_url: str, amqp_url: str, prefix: str) -> subprocess.Popen[bytes]:
    def start() -> subprocess.Popen[bytes]:
        with NotifySocket() as notify:
            given = environment(
                TASKYARD_DATABASE_URL=database_url,
                TASKYARD_AMQP_URL=amqp_url,
                TASKYARD_PREFIX=prefix,
                NOTIFY_SOCKET=notify.address,
                **deployment(),
            )
            command = [sys.executable, "-m", "taskyard", "dispatcher"]
            process = subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL)
            notify.wait(30)
            return process

    return await asyncio.to_thread(start)


async def test_with_encryption_on_the_broker_gets_nothing_to_keep_secret(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """That there is a result or an error is told, not which: the broker keeps plain files."""
    connection.ring = ring("k1")
    async with (
        consuming(amqp_url, prefix, "task.#") as heard,
        relaying(database_url, amqp_url, prefix, "task.#", keys=ring("k1")) as relay,
    ):
        with (
            connect_sync(database_url, name="tests", ring=ring("k1")) as opened,
            opened.cursor() as worker,
        ):
            await live(connection, worker, "words")
        await _rounds(relay, lambda: len(heard) == 6)
    told = {message.routing_key: json.loads(message.body) for message in heard}
    assert told["task.a.b.retrying"]["error"] == {"code": "task-error", "message": ""}
    assert told["task.a.b.succeeded"]["result_omitted"] is True
    assert not any(b"words" in message.body for message in heard)
