"""Intake and dispatcher on real servers: what is stored is published, whatever happens between."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.broker.declare import connected
from taskyard.broker.publisher import Publisher, open_publisher
from taskyard.broker.wakeup import BODY, exchange_name, fault, queue_name
from taskyard.core.errors import InvalidRequest, OutcomeUnknown, StorageUnavailable
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.task import Accepted, NewTask, TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.dev.processes import free_port
from taskyard.dispatcher import Dispatcher
from taskyard.services.fresh import HOLD, open_fresh
from taskyard.services.intake import open_intake
from taskyard.services.reconcile import Reconciler
from taskyard.services.topology import apply_topology
from taskyard.stopping import end
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import open_pool

Connection = psycopg.AsyncConnection[Any]
POOL = Pool(name="p", tasks=("a.*",), modules=("m",), window=5_000)
TABLE = RoutingTable(pools={"p": POOL}, defaults={})


def new(**changes: Any) -> NewTask:
    given = NewTask(
        id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
        max_attempts=3,
    )  # fmt: skip
    return replace(given, **changes)


async def until(connection: Connection, query: str, expected: object, within: float = 15) -> None:
    """Wait until a query answers as expected."""
    deadline = asyncio.get_running_loop().time() + within
    while True:
        row = await (await connection.execute(query.encode())).fetchone()
        if row == expected:
            return
        assert asyncio.get_running_loop().time() < deadline, f"{row} is not {expected}"
        await asyncio.sleep(0.02)


@pytest.fixture
async def topology(connection: Connection, amqp_url: str, prefix: str) -> None:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)


@asynccontextmanager
async def dispatching(database_url: str, amqp_url: str, prefix: str) -> AsyncIterator[Publisher]:
    """A dispatcher at work."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url, name="tests", size=4))
        exchange = exchange_name(prefix)
        publisher = await stack.enter_async_context(open_publisher(amqp_url, exchange))
        reconciler = Reconciler(
            table=TABLE,
            connections=pool,
            publisher=publisher,
            database_url=database_url,
            amqp_url=amqp_url,
            prefix=prefix,
        )
        dispatcher = Dispatcher(
            database_url=database_url,
            pool=pool,
            publisher=publisher,
            reconciler=reconciler,
            table=TABLE,
        )
        running = asyncio.create_task(dispatcher.run())
        try:
            yield publisher
        finally:
            await end(running)


@asynccontextmanager
async def intake_of(database_url: str, amqp_url: str, prefix: str) -> AsyncIterator[Any]:
    """An API's way in, without the HTTP."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        pool = await enter(open_pool(database_url, name="tests", size=4))
        publisher = await enter(open_publisher(amqp_url, exchange_name(prefix)))
        fresh = await enter(open_fresh(publisher=publisher, pool=pool))
        yield await enter(open_intake(pool, fresh, largest_backlog=1000))


def received(amqp_url: str, prefix: str) -> list[tuple[str, int]]:
    """Take everything out of the pool's queue; each message must be a sound wake-up."""
    found = []
    with connected(amqp_url) as broker:
        channel = broker.channel()
        while (message := channel.basic_get(queue_name(prefix, "p"), no_ack=True)) is not None:
            properties = message.properties
            headers = properties["application_headers"]
            kinds = (properties["content_type"], properties["content_encoding"])
            assert fault(headers, *kinds, message.body) is None
            assert message.body in (BODY, BODY.decode())
            assert properties["delivery_mode"] == 2
            found.append((headers["id"], properties["priority"]))
    return found


@pytest.mark.usefixtures("topology")
async def test_pending_tasks_are_published_most_urgent_first(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """The queue hands them out by priority; every row is marked once confirmed."""
    tasks = [new(priority=priority) for priority in (0, 5, 9, 1, 4, 9, 2, 8)]
    async with intake_of(database_url, amqp_url, prefix) as intake:
        await intake.store_batch(tasks)
    async with dispatching(database_url, amqp_url, prefix):
        await until(connection, "SELECT count(*) FROM tasks WHERE state = 'queued'", (8,))
    found = received(amqp_url, prefix)
    assert [priority for _, priority in found] == [9, 9, 8, 5, 4, 2, 1, 0]
    assert {task_id for task_id, _ in found} == {str(task.id) for task in tasks}


@pytest.mark.usefixtures("topology")
async def test_a_bad_row_never_fails_its_neighbours(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """What the database refuses is refused alone, in one batch with good ones."""
    good = [new() for _ in range(20)]
    bad = new(args='{"nul": "\\u0000"}')
    async with intake_of(database_url, amqp_url, prefix) as intake:
        outcomes = await intake.store_batch([*good[:7], bad, *good[7:]])
        singles = [intake.store(task) for task in (new(), new(args="{"), new())]
        together = await asyncio.gather(*singles, return_exceptions=True)
    assert [isinstance(each, Accepted) for each in outcomes] == [True] * 7 + [False] + [True] * 13
    assert isinstance(outcomes[7], InvalidRequest)
    assert isinstance(together[1], InvalidRequest)
    assert isinstance(together[0], Accepted)
    assert isinstance(together[2], Accepted)
    await until(connection, "SELECT count(*) FROM tasks", (22,))


async def test_an_unroutable_wake_up_comes_back_with_a_reason_and_a_wait(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """It stays pending, and is published once there is a binding."""
    empty = RoutingTable(pools={}, defaults={})
    await apply_topology(connection, amqp_url=amqp_url, table=empty, prefix=prefix)
    async with dispatching(database_url, amqp_url, prefix):
        async with intake_of(database_url, amqp_url, prefix) as intake:
            await intake.store_batch([new()])
        await until(connection, "SELECT state, reason FROM tasks", ("pending", "unroutable"))
        await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
        await until(connection, "SELECT state, publish_failures FROM tasks", ("queued", 0))
    assert len(received(amqp_url, prefix)) == 1


@pytest.mark.usefixtures("topology")
async def test_a_broker_that_is_away_delays_and_loses_nothing(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Stored while nobody listens, published when somebody does."""
    nowhere = f"amqp://u:p@127.0.0.1:{free_port()}/v"
    async with intake_of(database_url, nowhere, prefix) as intake:
        stored = await asyncio.gather(*(intake.store(new(hold=0.0)) for _ in range(50)))
    assert all(isinstance(each, Accepted) for each in stored)
    async with dispatching(database_url, amqp_url, prefix):
        await until(connection, "SELECT count(*) FROM tasks WHERE state = 'queued'", (50,))
    assert len(received(amqp_url, prefix)) == 50


@pytest.mark.usefixtures("topology")
async def test_what_a_dead_api_held_is_published_by_the_dispatcher(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Once the hold is over."""
    async with intake_of(database_url, f"amqp://u:p@127.0.0.1:{free_port()}/v", prefix) as intake:
        await intake.store_batch([new(hold=HOLD)])
    await connection.execute("UPDATE tasks SET publish_at = now() + interval '300 ms'")
    async with dispatching(database_url, amqp_url, prefix):
        await until(connection, "SELECT state FROM tasks", ("queued",))


async def test_a_late_mark_does_not_hide_that_another_wake_up_is_due(
    connection: Connection,
) -> None:
    """The wake-up was taken, the task ran and waits for its next one: the mark is of the first."""
    task = new()
    await tasks_table.insert(connection, [task])
    published = WakeUp(id=task.id, type=task.type, priority=task.priority)
    for state in ("running", "retrying", "pending"):
        await connection.execute(
            "UPDATE tasks SET state = %(state)s, attempt = 1,"
            " lease_token = CASE %(state)s WHEN 'running' THEN gen_random_uuid() END,"
            " lease_expires_at = CASE %(state)s WHEN 'running' THEN now() END",
            {"state": state},
        )
    await tasks_table.mark_queued(connection, [published])
    await until(connection, "SELECT state FROM tasks", ("pending",))
    await tasks_table.mark_queued(connection, [replace(published, attempt=1)])
    await until(connection, "SELECT state FROM tasks", ("queued",))


@pytest.mark.usefixtures("topology")
async def test_a_caller_that_hangs_up_does_not_strand_its_task(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """A client's disconnect cancels its request; the task is stored and goes on its way at once."""
    async with (
        dispatching(database_url, amqp_url, prefix),
        intake_of(database_url, amqp_url, prefix) as intake,
    ):
        callers = [asyncio.create_task(intake.store(new(hold=60.0))) for _ in range(20)]
        await asyncio.sleep(0)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        query = "SELECT count(*) FROM tasks WHERE state = 'queued'"
        await until(connection, query, (20,))


@pytest.mark.usefixtures("topology")
async def test_two_dispatchers_share_the_work(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Each wake-up is published once: a pool is taken with SKIP LOCKED."""
    async with intake_of(database_url, amqp_url, prefix) as intake:
        await intake.store_batch([new() for _ in range(2_000)])
    async with (
        dispatching(database_url, amqp_url, prefix),
        dispatching(database_url, amqp_url, prefix),
    ):
        await until(connection, "SELECT count(*) FROM tasks WHERE state = 'queued'", (2_000,))
    found = received(amqp_url, prefix)
    assert len(found) == len(set(found)) == 2_000


@pytest.mark.usefixtures("topology")
async def test_dates_are_kept(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """A delayed task becomes pending when due, and expires when it may start no more."""
    async with dispatching(database_url, amqp_url, prefix):
        async with intake_of(database_url, amqp_url, prefix) as intake:
            await intake.store(new(delay=0.3))
            await intake.store(new(type="no.queue", expires_in=0.5))
            await intake.store(new(run_at=datetime(2099, 1, 1, tzinfo=UTC)))
        for state in ("queued", "expired", "scheduled"):
            query = f"SELECT count(*) FROM tasks WHERE state = '{state}'"
            await until(connection, query, (1,))


async def test_a_database_that_is_away_is_a_definite_refusal(amqp_url: str, prefix: str) -> None:
    """Nothing was sent, so nothing was stored, and the caller is told so."""
    nowhere = f"postgresql://u:p@127.0.0.1:{free_port()}/d"
    async with intake_of(nowhere, amqp_url, prefix) as intake:
        with pytest.raises(StorageUnavailable):
            await intake.store(new())


@pytest.mark.usefixtures("topology")
async def test_killed_connections_lose_nothing_that_was_accepted(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> None:
    """Each caller gets an answer, each accepted task is there, and the intake goes on."""
    kill = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
              WHERE application_name = 'taskyard tests' AND pid <> pg_backend_pid()
                AND datname = current_database()"""
    async with intake_of(database_url, amqp_url, prefix) as intake:
        accepted: list[TaskId] = []
        for _ in range(10):
            tasks = [new() for _ in range(100)]
            storing = asyncio.gather(*map(intake.store, tasks), return_exceptions=True)
            await connection.execute(kill)
            for task, outcome in zip(tasks, await storing, strict=True):
                if isinstance(outcome, Accepted):
                    accepted.append(task.id)
                else:
                    assert isinstance(outcome, OutcomeUnknown | StorageUnavailable)
        last = await intake.store(new())
    cursor = await connection.execute(
        "SELECT count(*) FROM tasks WHERE id = ANY (%s)", ([*accepted, last.id],)
    )
    assert await cursor.fetchone() == (len(accepted) + 1,)
