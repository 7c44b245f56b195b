"""A pool's queue is replaced by another on a real broker, also by an apply that dies on the way."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from itertools import count
from typing import Any, LiteralString, NamedTuple
from uuid import UUID, uuid4

import amqp
import psycopg
import pytest
from amqp.exceptions import NotFound

from taskyard.broker import wakeup
from taskyard.broker.declare import connected
from taskyard.broker.topology import Change, Step, broker_name
from taskyard.core.routing import Pool, QueueType, RoutingTable
from taskyard.services.topology import apply_topology, plan_topology
from taskyard.storage import tasks
from taskyard.storage import topology as ledger_table
from taskyard.storage.pool import connect

Connection = psycopg.AsyncConnection[Any]

CLASSIC, QUORUM = QueueType.CLASSIC, QueueType.QUORUM
STEPS = 12  # a migration has at least so many: declare, bind, unbind, remove, and what is written

# `make faults` dies everywhere. An odd stride alternates between before and after a step.
EVERY = pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.faults)])


def table(kind: QueueType, *patterns: str) -> RoutingTable:
    pool = Pool(name="media", tasks=patterns or ("image.*",), modules=("m",), queue_type=kind)
    return RoutingTable(pools={"media": pool}, defaults={})


class Yard(NamedTuple):
    """One deployment on one broker and one database."""

    connection: Connection
    amqp_url: str
    prefix: str

    @property
    def queue(self) -> str:
        return f"{self.prefix}.pool.media"

    async def plan(self, routing: RoutingTable) -> list[Step]:
        given = {"amqp_url": self.amqp_url, "prefix": self.prefix}
        return changes(await plan_topology(self.connection, table=routing, **given))

    async def apply(self, routing: RoutingTable) -> list[Step]:
        given = {"amqp_url": self.amqp_url, "prefix": self.prefix}
        return changes(await apply_topology(self.connection, table=routing, **given))

    async def consumed(self) -> list[str]:
        """Return the queues that workers would consume now."""
        name = broker_name(self.amqp_url, self.prefix)
        return [queue.name for queue in await ledger_table.list_queues(self.connection, name)]

    def publish(self, body: str = "x") -> None:
        with channel(self.amqp_url) as opened:
            opened.basic_publish_confirm(
                amqp.Message(body), wakeup.exchange_name(self.prefix), "image.cut", mandatory=True
            )

    def depth(self, queue: str) -> int | None:
        with channel(self.amqp_url) as opened:
            try:
                return int(opened.queue_declare(queue, passive=True).message_count)
            except NotFound:
                return None

    def drain(self, *queues: str) -> set[str]:
        """Take all messages out of the queues, as workers would; return what they said.

        Like a worker it takes no offence at a drained queue that is gone already.
        """
        found = set()
        for queue in queues:
            with channel(self.amqp_url) as opened, suppress(NotFound):
                while (message := opened.basic_get(queue, no_ack=True)) is not None:
                    found.add(str(message.body))
        return found


@contextmanager
def channel(url: str) -> Iterator[amqp.Channel]:
    """A channel of a connection of its own, with confirms."""
    with connected(url) as broker:
        opened = broker.channel()
        opened.confirm_select()
        yield opened


def changes(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.change is not Change.NOTE]


def told(steps: list[Step], change: Change) -> list[str]:
    return [step.what for step in steps if step.change is change]


@pytest.fixture
def yard(connection: Connection, amqp_url: str, prefix: str) -> Yard:
    return Yard(connection, amqp_url, prefix)


class Died(BaseException):
    """The process that applied is gone: nothing in the product catches this."""


class Deaths:
    """Dies before (even) or after (odd) one of the calls that change something."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.calls = 0

    @contextmanager
    def around(self) -> Iterator[None]:
        number = self.calls
        self.calls += 1
        if self.step == 2 * number:
            raise Died
        try:
            yield
        finally:
            if self.step == 2 * number + 1:
                raise Died

    @property
    def happened(self) -> bool:
        return self.step < 2 * self.calls


@contextmanager
def dying_at(step: int) -> Iterator[Deaths]:
    """Let an apply die at this step, each time it is tried."""
    deaths = Deaths(step)

    def fatal(call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **given: Any) -> Any:
            with deaths.around():
                return call(*args, **given)

        return counted

    def fatal_write(write: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def counted(*args: Any, **given: Any) -> Any:
            with deaths.around():
                return await write(*args, **given)

        return counted

    with pytest.MonkeyPatch.context() as patched:
        declare = amqp.Channel.queue_declare

        def declare_or_ask(channel: amqp.Channel, *args: Any, **given: Any) -> Any:
            """Asking whether a queue is there changes nothing, so nobody dies of it."""
            return (declare if given.get("passive") else fatal(declare))(channel, *args, **given)

        patched.setattr(amqp.Channel, "queue_declare", declare_or_ask)
        for name in ("queue_bind", "queue_unbind", "queue_delete"):
            patched.setattr(amqp.Channel, name, fatal(getattr(amqp.Channel, name)))
        for module, name in (
            (ledger_table, "write"),
            (ledger_table, "forget_queue"),
            (tasks, "publish_again"),
        ):
            patched.setattr(module, name, fatal_write(getattr(module, name)))
        yield deaths


@pytest.mark.parametrize(("before", "after"), [(CLASSIC, QUORUM), (QUORUM, CLASSIC)])
async def test_a_queue_that_holds_messages_is_replaced_and_stays(
    yard: Yard, before: QueueType, after: QueueType
) -> None:
    """The plan says each step; wake-ups go to the new queue alone; the old one goes when empty."""
    old, new = yard.queue, f"{yard.queue}.v2"
    # Given a queue that holds a message
    await yard.apply(table(before))
    yard.publish("early")
    # When its type changes
    planned = await yard.plan(table(after))
    assert [step.change for step in planned] == [
        Change.CREATE, Change.CREATE, Change.REMOVE, Change.DRAIN,
    ]  # fmt: skip
    assert planned[0].what.endswith(f", replaces {old}")
    assert await yard.apply(table(after)) == planned
    # Then workers consume both, and what is published goes to the new one
    assert await yard.consumed() == [old, new]
    yard.publish("late")
    assert (yard.depth(old), yard.depth(new)) == (1, 1)
    # and as long as the old one holds something that is reported and nothing is dropped
    for steps in (await yard.plan(table(after)), await yard.apply(table(after))):
        assert told(steps, Change.DRAIN) == [
            f"queue {old} was replaced by {new}, but 1 messages and 0 consumers: "
            "goes once it is empty"
        ]
    assert yard.drain(old) == {"early"}
    assert told(await yard.apply(table(after)), Change.REMOVE) == [
        f"queue {old} (replaced by {new})"
    ]
    assert await yard.plan(table(after)) == []
    assert await yard.consumed() == [new]
    assert (yard.depth(old), yard.depth(new)) == (None, 1)


@EVERY
async def test_an_apply_may_die_between_any_two_steps(yard: Yard, prefix: str, every: int) -> None:
    """Whatever is published then reaches a queue that workers consume, and the next apply ends it.

    Each round is a deployment of its own, and dies a few steps later than the one before.
    """
    wanted = table(QUORUM, "image.*", "photo.*")
    for step in count(step=every):
        # Given a queue to be replaced, and an apply that dies on the way
        here = yard._replace(prefix=f"{prefix}-{step}")
        await here.apply(table(CLASSIC, "image.*", "video.*"))
        with dying_at(step) as deaths, suppress(Died):
            await here.apply(wanted)
        # When a wake-up is published before the next apply
        here.publish("meanwhile")
        # Then somebody gets it,
        assert here.drain(*await here.consumed()) == {"meanwhile"}, step
        # and the next apply leaves nothing to do, one queue, and no other.
        await here.apply(wanted)
        here.drain(*await here.consumed())
        await here.apply(wanted)
        assert await here.plan(wanted) == [], step
        assert await here.consumed() == [f"{here.queue}.v2"], step
        assert (here.depth(here.queue), here.depth(f"{here.queue}.v3")) == (None, None), step
        if not deaths.happened:
            break
    assert step >= 2 * STEPS


@EVERY
async def test_a_migration_that_died_can_be_called_off(yard: Yard, prefix: str, every: int) -> None:
    """Wherever it died: the table as before ends with one queue, and no other gets wake-ups."""
    for step in count(step=every):
        here = yard._replace(prefix=f"{prefix}-{step}")
        await here.apply(table(CLASSIC))
        with dying_at(step) as deaths, suppress(Died):
            await here.apply(table(QUORUM))
        here.publish("meanwhile")
        await here.apply(table(CLASSIC))
        assert here.drain(*await here.consumed()) == {"meanwhile"}, step
        await here.apply(table(CLASSIC))
        assert await here.plan(table(CLASSIC)) == [], step
        [left] = await here.consumed()
        versions = (here.queue, f"{here.queue}.v2", f"{here.queue}.v3")
        assert [name for name in versions if here.depth(name) is not None] == [left], step
        if not deaths.happened:
            break


async def test_there_and_back_while_the_first_queue_is_drained(yard: Yard) -> None:
    """The queue goes forward in its row, never back to one that is drained."""
    await yard.apply(table(CLASSIC))
    yard.publish("first")
    await yard.apply(table(QUORUM))
    yard.publish("second")
    await yard.apply(table(CLASSIC))
    yard.publish("third")
    versions = [yard.queue, f"{yard.queue}.v2", f"{yard.queue}.v3"]
    assert [yard.drain(queue) for queue in versions] == [{"first"}, {"second"}, {"third"}]
    assert sorted(await yard.consumed()) == versions
    await yard.apply(table(CLASSIC))
    assert await yard.consumed() == versions[2:]
    assert await yard.plan(table(CLASSIC)) == []


async def test_two_applies_at_once_make_one_new_queue(yard: Yard, database_url: str) -> None:
    """The second waits for the first, over all its transactions, and finds its work done."""
    await yard.apply(table(CLASSIC))
    yard.publish()
    async with await connect(database_url, name="tests") as other:
        first, second = await asyncio.gather(
            yard.apply(table(QUORUM)), yard._replace(connection=other).apply(table(QUORUM))
        )
    assert sorted(len(told(steps, Change.CREATE)) for steps in (first, second)) == [0, 2]
    assert await yard.consumed() == [yard.queue, f"{yard.queue}.v2"]
    assert yard.depth(f"{yard.queue}.v3") is None


async def until_one(connection: Connection, query: LiteralString) -> None:
    """Wait until a query counts one."""
    deadline = asyncio.get_running_loop().time() + 20
    while True:
        if await (await connection.execute(query)).fetchone() == (1,):
            return
        assert asyncio.get_running_loop().time() < deadline, query
        await asyncio.sleep(0.02)


async def test_a_lock_goes_with_the_apply_that_held_it(yard: Yard, database_url: str) -> None:
    """Whoever waits for one that dies goes on."""
    broker = broker_name(yard.amqp_url, yard.prefix)
    waits = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
        " WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    async with AsyncExitStack() as stack:
        # Given an apply that waits for another
        holder = await stack.enter_async_context(await connect(database_url, name="holder"))
        watcher = await stack.enter_async_context(await connect(database_url, name="watcher"))
        holding = ledger_table.locked(holder, broker)
        await holding.__aenter__()
        waiting = asyncio.create_task(yard.apply(table(CLASSIC)))
        await until_one(watcher, waits)
        # When the other's connection breaks
        pid = holder.info.backend_pid
        await watcher.execute("SELECT pg_terminate_backend(%s)", (pid,))
        # Then it goes on
        assert told(await asyncio.wait_for(waiting, 20), Change.CREATE)
        with pytest.raises(psycopg.OperationalError):
            await holding.__aexit__(None, None, None)
    assert await yard.plan(table(CLASSIC)) == []


async def insert_queued(connection: Connection, *, age: str) -> UUID:
    task_id = uuid4()
    await connection.execute(
        "INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,"
        " queued_at, args) VALUES (%s, 'image.cut', 'media', 4, 'queued', 3, now(), now(),"
        " now() + %s::interval, '{}')",
        (task_id, age),
    )
    return task_id


async def test_what_a_worker_held_of_a_queue_that_goes_is_published_again(yard: Yard) -> None:
    """It was delivered and not claimed; if the worker dies, no queue gets it back."""
    # Given a wake-up that a worker has in its hands when its queue is replaced and goes
    await yard.apply(table(CLASSIC))
    held = await insert_queued(yard.connection, age="-1 second")
    later = await insert_queued(yard.connection, age="1 hour")
    yard.publish(str(held))
    with channel(yard.amqp_url) as worker:
        assert worker.basic_get(yard.queue) is not None
        await yard.apply(table(QUORUM))
    # Then it is due again, and what came to the new queue is left
    assert yard.depth(yard.queue) is None
    found = await yard.connection.execute("SELECT id, state, reason FROM tasks ORDER BY state DESC")
    assert await found.fetchall() == [
        (held, "scheduled", "its queue was replaced"),
        (later, "queued", None),
    ]


async def test_a_message_of_the_last_moment_saves_a_replaced_queue(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes back from a worker that died just when the queue was seen empty."""
    await yard.apply(table(CLASSIC))
    delete = amqp.Channel.queue_delete

    def delete_late(opened: amqp.Channel, *args: Any, **conditions: Any) -> Any:
        with channel(yard.amqp_url) as other:
            other.basic_publish_confirm(amqp.Message("back"), "", yard.queue)
        return delete(opened, *args, **conditions)

    with monkeypatch.context() as patched:
        patched.setattr(amqp.Channel, "queue_delete", delete_late)
        assert told(await yard.apply(table(QUORUM)), Change.DRAIN)
    assert yard.drain(*await yard.consumed()) == {"back"}
    assert told(await yard.apply(table(QUORUM)), Change.REMOVE)
