"""Plan and apply against a real broker."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import uuid4

import amqp
import psycopg
import pytest
from amqp.exceptions import NotFound

from taskyard.broker import wakeup
from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.broker.topology import Change, Step
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import Pool, QueueType, RoutingTable
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.services.topology import apply_topology, plan_topology
from taskyard.storage.pool import connect

Connection = psycopg.AsyncConnection[Any]

KINDS = [QueueType.CLASSIC, QueueType.QUORUM]
NOTHING = RoutingTable(pools={}, defaults={})


def table(kind: QueueType = QueueType.AUTO, **pools: tuple[str, ...]) -> RoutingTable:
    return RoutingTable(
        pools={
            name: Pool(name=name, tasks=tasks, modules=("m",), queue_type=kind)
            for name, tasks in pools.items()
        },
        defaults={},
    )


class Owner:
    """`taskyard topology` on one broker and one database."""

    def __init__(self, connection: Connection, amqp_url: str, prefix: str) -> None:
        self._given: dict[str, Any] = {"amqp_url": amqp_url, "prefix": prefix}
        self._connection = connection

    async def plan(self, routing: RoutingTable) -> list[Step]:
        """Return what would change, without the warnings."""
        return changes(await plan_topology(self._connection, table=routing, **self._given))

    async def apply(self, routing: RoutingTable) -> list[Step]:
        """Return what changed, without the warnings."""
        return changes(await apply_topology(self._connection, table=routing, **self._given))


def changes(steps: list[Step]) -> list[Step]:
    return [step for step in steps if step.change is not Change.NOTE]


def told(steps: list[Step], change: Change) -> list[str]:
    return [step.what for step in steps if step.change is change]


@pytest.fixture
def owner(connection: Connection, amqp_url: str, prefix: str) -> Owner:
    return Owner(connection, amqp_url, prefix)


@contextmanager
def opened(url: str) -> Iterator[amqp.Channel]:
    """A channel of a connection of its own, with confirms."""
    with connected(url) as broker:
        channel = broker.channel()
        channel.confirm_select()
        yield channel


def depth(url: str, queue: str) -> int | None:
    with opened(url) as channel:
        try:
            return int(channel.queue_declare(queue, passive=True).message_count)
        except NotFound:
            return None


def publish(url: str, exchange: str, key: str) -> None:
    with opened(url) as channel:
        channel.basic_publish_confirm(amqp.Message("x"), exchange, key)


async def test_planning_changes_nothing_and_applying_is_idempotent(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """After an apply there is nothing left to plan."""
    routing = table(media=("image.*",))
    planned = await owner.plan(routing)
    assert {step.change for step in planned} == {Change.CREATE}
    assert depth(amqp_url, f"{prefix}.pool.media") is None
    assert await owner.apply(routing) == planned
    assert await owner.plan(routing) == []
    assert await owner.apply(routing) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_both_kinds_of_queue_are_declared_and_recognised(
    owner: Owner, kind: QueueType
) -> None:
    """The broker takes the arguments chosen for each kind, and the second look finds no change."""
    routing = table(kind, media=("image.*",))
    assert told(await owner.apply(routing), Change.CONFLICT) == []
    assert await owner.plan(routing) == []


async def test_a_wake_up_reaches_its_pool_the_most_urgent_first(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """Once, however many of the pool's patterns match; what the pool rejects is a dead letter."""
    await owner.apply(table(media=("image.*", "image.#"), docs=("report.#",)))
    woken = [
        WakeUp(id=TaskId(uuid4()), type="image.cut", priority=priority)
        for priority in (0, 5, 9, 1, 4, 9, 2, 8)
    ]
    async with open_publisher(amqp_url, wakeup.exchange_name(prefix)) as publisher:
        await asyncio.wait_for(publisher.connected.wait(), 10)
        assert set(await publisher.publish(woken)) == {Confirm.CONFIRMED}
    assert depth(amqp_url, f"{prefix}.pool.docs") == 0
    got = []
    with opened(amqp_url) as channel:
        while (message := channel.basic_get(f"{prefix}.pool.media")) is not None:
            properties = message.properties
            kinds = (properties["content_type"], properties["content_encoding"])
            assert wakeup.fault(message.headers, *kinds, message.body) is None
            assert properties["delivery_mode"] == 2
            got.append((properties["priority"], message.headers["id"]))
            channel.basic_reject(message.delivery_tag, requeue=False)
    assert [priority for priority, _ in got] == [9, 9, 8, 5, 4, 2, 1, 0]
    assert {task_id for _, task_id in got} == {str(each.id) for each in woken}
    assert depth(amqp_url, f"{prefix}.dead") == len(woken)


async def test_events_of_any_type_are_kept_for_ingest(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """One queue takes them all."""
    await owner.apply(NOTHING)
    for key in ("upload.photo.created", "x", ""):
        publish(amqp_url, f"{prefix}.events", key)
    assert depth(amqp_url, f"{prefix}.ingest") == 3


async def test_a_stale_binding_is_removed(owner: Owner, amqp_url: str, prefix: str) -> None:
    """What a pool runs no longer reaches its queue no longer."""
    await owner.apply(table(media=("image.*", "video.*")))
    steps = await owner.apply(table(media=("image.*",)))
    assert [(step.change, "video.*" in step.what) for step in steps] == [(Change.REMOVE, True)]
    publish(amqp_url, f"{prefix}.tasks", "video.cut")
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


async def test_a_task_type_that_changes_pools_is_never_unbound(
    owner: Owner, amqp_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its new queue is bound before the old one is unbound, so no wake-up comes back between."""
    await owner.apply(table(old=("image.*",), new=("report.*",)))
    arrived: list[int | None] = []
    unbind = amqp.Channel.queue_unbind

    def unbind_late(channel: amqp.Channel, *args: Any) -> None:
        publish(amqp_url, f"{prefix}.tasks", "image.cut")
        arrived.append(depth(amqp_url, f"{prefix}.pool.new"))
        unbind(channel, *args)

    monkeypatch.setattr(amqp.Channel, "queue_unbind", unbind_late)
    await owner.apply(table(old=("video.*",), new=("report.*", "image.*")))
    assert arrived == [1]


async def test_a_binding_removed_by_hand_is_made_again(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """Apply binds what should be bound, whatever is remembered."""
    routing = table(media=("image.*",))
    await owner.apply(routing)
    with opened(amqp_url) as channel:
        channel.queue_unbind(f"{prefix}.pool.media", f"{prefix}.tasks", "image.*")
    await owner.apply(routing)
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


@pytest.mark.parametrize("end", ["exchange tasks", "queue pool.media"])
async def test_what_went_with_a_deleted_end_is_planned_and_made_again(
    owner: Owner, amqp_url: str, prefix: str, end: str
) -> None:
    """An exchange or queue deleted by hand takes its bindings along; the plan says both."""
    routing = table(media=("image.*",))
    await owner.apply(routing)
    kind, _, name = end.partition(" ")
    with opened(amqp_url) as channel:
        getattr(channel, f"{kind}_delete")(f"{prefix}.{name}")
    planned = await owner.plan(routing)
    assert [what.split()[0] for what in told(planned, Change.CREATE)] == [kind, "binding"]
    assert await owner.apply(routing) == planned
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


async def test_a_queue_of_unknown_make_is_replaced_and_drained(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """Somebody else declared it: what it holds stays, and wake-ups go to a queue of our make."""
    first, second = f"{prefix}.pool.media", f"{prefix}.pool.media.v2"
    with opened(amqp_url) as channel:
        channel.queue_declare(first, durable=True, auto_delete=False)
    publish(amqp_url, "", first)
    routing = table(QueueType.CLASSIC, media=("image.*",))
    assert told(await owner.apply(routing), Change.CONFLICT) == []
    [drain] = await owner.plan(routing)
    assert drain.change is Change.DRAIN
    assert f"queue {first} was replaced by {second}, but 1 messages" in drain.what
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert (depth(amqp_url, first), depth(amqp_url, second)) == (1, 1)


async def test_an_exchange_of_another_type_is_reported_and_left_alone(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """Like a queue; and all the rest is made."""
    with opened(amqp_url) as channel:
        channel.exchange_declare(f"{prefix}.lifecycle", "direct", durable=True, auto_delete=False)
    routing = table(media=("image.*",))
    for steps in (await owner.apply(routing), await owner.plan(routing)):
        (conflict,) = told(steps, Change.CONFLICT)
        assert conflict.startswith(f"exchange {prefix}.lifecycle (topic)")
    assert depth(amqp_url, f"{prefix}.pool.media") == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_the_queue_of_a_pool_that_is_gone_goes_when_it_is_empty(
    owner: Owner, amqp_url: str, prefix: str, kind: QueueType
) -> None:
    """And stays, reported, as long as it holds a message."""
    queue = f"{prefix}.pool.docs"
    both = table(kind, media=("image.*",), docs=("report.*",))
    await owner.apply(both)
    publish(amqp_url, f"{prefix}.tasks", "report.x")
    only = replace(both, pools={"media": both.pools["media"]})
    for steps in (await owner.apply(only), await owner.plan(only), await owner.apply(only)):
        (conflict,) = told(steps, Change.CONFLICT)
        assert f"{queue} has no pool any more, but 1 messages" in conflict
    assert depth(amqp_url, queue) == 1
    with opened(amqp_url) as channel:
        channel.queue_purge(queue)
    planned = await owner.plan(only)
    assert told(planned, Change.REMOVE) == [f"queue {queue} (its pool is gone)"]
    assert await owner.apply(only) == planned
    assert depth(amqp_url, queue) is None
    assert await owner.plan(only) == []


@pytest.mark.parametrize("kind", KINDS)
async def test_the_queue_of_a_pool_that_is_gone_stays_while_a_worker_consumes_it(
    owner: Owner, amqp_url: str, prefix: str, kind: QueueType
) -> None:
    """A worker of the old table may still run."""
    await owner.apply(table(kind, docs=("report.*",)))
    with opened(amqp_url) as channel:
        channel.basic_consume(f"{prefix}.pool.docs")
        (conflict,) = told(await owner.apply(NOTHING), Change.CONFLICT)
        assert "1 consumers: left alone" in conflict
        assert depth(amqp_url, f"{prefix}.pool.docs") == 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_message_of_the_last_moment_saves_its_queue(
    owner: Owner,
    amqp_url: str,
    prefix: str,
    kind: QueueType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It comes after the queue was seen empty; the rest of the apply is done and remembered."""
    queue = f"{prefix}.pool.docs"
    await owner.apply(table(kind, docs=("report.*",)))
    delete = amqp.Channel.queue_delete

    def delete_late(channel: amqp.Channel, *args: Any, **conditions: Any) -> Any:
        publish(amqp_url, "", queue)
        return delete(channel, *args, **conditions)

    with monkeypatch.context() as patched:
        patched.setattr(amqp.Channel, "queue_delete", delete_late)
        (conflict,) = told(await owner.apply(NOTHING), Change.CONFLICT)
    assert conflict.startswith(f"queue {queue} has no pool any more")
    assert depth(amqp_url, queue) == 1
    assert told(await owner.plan(NOTHING), Change.CONFLICT)


async def test_a_queue_gone_by_hand_is_forgotten(owner: Owner, amqp_url: str, prefix: str) -> None:
    """With its pool: there is nothing left to do or to say."""
    await owner.apply(table(docs=("report.*",)))
    with opened(amqp_url) as channel:
        channel.queue_delete(f"{prefix}.pool.docs")
    assert [what.split()[0] for what in told(await owner.apply(NOTHING), Change.REMOVE)] == [
        "binding"
    ]
    assert await owner.plan(NOTHING) == []


async def test_two_applies_at_once_do_not_cross(
    database_url: str, amqp_url: str, prefix: str
) -> None:
    """The second waits for the first, and finds its work done."""
    routing = table(media=("image.*",), docs=("report.*",))
    async with (
        await connect(database_url, name="tests") as one,
        await connect(database_url, name="tests") as other,
    ):
        owners = [Owner(connection, amqp_url, prefix) for connection in (one, other)]
        results = await asyncio.gather(*(owner.apply(routing) for owner in owners))
    assert sorted(map(bool, results)) == [False, True]


async def test_deployments_with_other_prefixes_are_left_alone(
    owner: Owner, connection: Connection, amqp_url: str, prefix: str
) -> None:
    """Two may share a virtual host and a database."""
    routing = table(media=("image.*",))
    neighbour = Owner(connection, amqp_url, f"{prefix}x")
    await neighbour.apply(routing)
    await owner.apply(table(media=("video.*",)))
    await owner.apply(NOTHING)
    assert await neighbour.plan(routing) == []
    assert depth(amqp_url, f"{prefix}x.pool.media") == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url.rpartition("/")[0] + "/no-such-host",
        lambda url: url.replace("://", "://nobody:wrong@").replace("guest:guest@", ""),
        lambda _: "amqp://guest:guest@127.0.0.1:1/",
    ],
    ids=["virtual host", "password", "port"],
)
async def test_a_broker_that_does_not_let_us_in_is_named(
    connection: Connection, amqp_url: str, prefix: str, spoil: Callable[[str], str]
) -> None:
    """In one sentence with host and port, and without the password."""
    away = Owner(connection, spoil(amqp_url), prefix)
    with pytest.raises(BrokerUnavailable, match=r"^RabbitMQ at 127\.0\.0\.1:\d+ ") as caught:
        await away.plan(NOTHING)
    assert "wrong" not in caught.value.detail


async def test_a_queue_that_somebody_holds_for_himself_ends_in_a_sentence(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """The broker refuses even to look at it (405); that is told, and nothing is remembered."""
    routing = table(media=("image.*",))
    with opened(amqp_url) as channel:
        channel.queue_declare(f"{prefix}.pool.media", exclusive=True)
        with pytest.raises(BrokerUnavailable, match="RESOURCE_LOCKED"):
            await owner.apply(routing)
    assert told(await owner.apply(routing), Change.CREATE)
    assert await owner.plan(routing) == []


async def test_an_alternate_exchange_would_blind_the_publisher(amqp_url: str, prefix: str) -> None:
    """Why there is none: see docs/adr/0004. What it takes is confirmed and not returned."""
    returned: dict[str, bool] = {}
    with connected(amqp_url) as broker:
        channel = broker.channel()
        channel.exchange_declare(f"{prefix}.alt", "fanout", durable=True, auto_delete=False)
        channel.queue_declare(f"{prefix}.alt", durable=True, auto_delete=False)
        channel.queue_bind(f"{prefix}.alt", f"{prefix}.alt")
        for name, arguments in (("with", {"alternate-exchange": f"{prefix}.alt"}), ("without", {})):
            exchange = f"{prefix}.{name}"
            channel.exchange_declare(
                exchange, "topic", durable=True, auto_delete=False, arguments=arguments
            )
            fresh = broker.channel()
            fresh.confirm_select()
            back: list[object] = []
            fresh.events["basic_return"].add(lambda *args, back=back: back.append(args))
            # Returns when the broker has confirmed, which it does after it has returned.
            fresh.basic_publish_confirm(amqp.Message("x"), exchange, "nobody", mandatory=True)
            returned[name] = bool(back)
    assert returned == {"with": False, "without": True}
    assert depth(amqp_url, f"{prefix}.alt") == 1


async def test_a_wake_up_that_no_pool_takes_comes_back(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """On the topology as applied the publisher learns at once, and of the others that they went."""
    await owner.apply(table(media=("image.*",)))
    woken = [
        WakeUp(id=TaskId(uuid4()), type=task_type, priority=4)
        for task_type in ("image.cut", "nobody.knows", "image.cut")
    ]
    async with open_publisher(amqp_url, wakeup.exchange_name(prefix)) as publisher:
        await asyncio.wait_for(publisher.connected.wait(), 10)
        confirms = await publisher.publish(woken)
    assert confirms == [Confirm.CONFIRMED, Confirm.UNROUTABLE, Confirm.CONFIRMED]
