"""Plan and apply against a real broker."""

from dataclasses import replace
from typing import Any

import amqp
import psycopg
import pytest
from amqp.exceptions import NotFound

from taskyard.broker.declare import connected
from taskyard.broker.topology import Change, Step
from taskyard.core.routing import Pool, RoutingTable
from taskyard.services.topology import apply_topology, plan_topology

Connection = psycopg.AsyncConnection[Any]


def table(**pools: tuple[str, ...]) -> RoutingTable:
    return RoutingTable(
        pools={name: Pool(name=name, tasks=tasks, modules=("m",)) for name, tasks in pools.items()},
        defaults={},
    )


class Owner:
    """`taskyard topology` on one broker and one database."""

    def __init__(self, connection: Connection, amqp_url: str, prefix: str) -> None:
        self._given: dict[str, Any] = {"amqp_url": amqp_url, "prefix": prefix}
        self._connection = connection

    async def plan(self, routing: RoutingTable) -> list[Step]:
        return await plan_topology(self._connection, table=routing, **self._given)

    async def apply(self, routing: RoutingTable) -> list[Step]:
        return await apply_topology(self._connection, table=routing, **self._given)


@pytest.fixture
def owner(connection: Connection, amqp_url: str, prefix: str) -> Owner:
    return Owner(connection, amqp_url, prefix)


def depth(url: str, queue: str) -> int | None:
    with connected(url) as broker:
        try:
            return int(broker.channel().queue_declare(queue, passive=True).message_count)
        except NotFound:
            return None


def publish(url: str, exchange: str, key: str) -> None:
    with connected(url) as broker:
        channel = broker.channel()
        channel.confirm_select()
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


async def test_a_stale_binding_is_removed(owner: Owner, amqp_url: str, prefix: str) -> None:
    """What a pool runs no longer reaches its queue no longer."""
    await owner.apply(table(media=("image.*", "video.*")))
    steps = await owner.apply(table(media=("image.*",)))
    assert [(step.change, "video.*" in step.what) for step in steps] == [(Change.REMOVE, True)]
    publish(amqp_url, f"{prefix}.tasks", "video.cut")
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


async def test_a_binding_removed_by_hand_is_made_again(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """Apply binds what should be bound, whatever is remembered."""
    routing = table(media=("image.*",))
    await owner.apply(routing)
    with connected(amqp_url) as broker:
        broker.channel().queue_unbind(f"{prefix}.pool.media", f"{prefix}.tasks", "image.*")
    await owner.apply(routing)
    publish(amqp_url, f"{prefix}.tasks", "image.cut")
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


async def test_a_queue_with_other_arguments_is_reported_and_left_alone(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """No stack trace, no loss."""
    with connected(amqp_url) as broker:
        broker.channel().queue_declare(f"{prefix}.pool.media", durable=True, auto_delete=False)
    publish(amqp_url, "", f"{prefix}.pool.media")
    for steps in (await owner.apply(table(media=("image.*",))), await owner.plan(table())):
        conflicts = [step.what for step in steps if step.change is Change.CONFLICT]
        assert len(conflicts) == 1
    assert depth(amqp_url, f"{prefix}.pool.media") == 1


async def test_the_queue_of_a_pool_that_is_gone_goes_when_it_is_empty(
    owner: Owner, amqp_url: str, prefix: str
) -> None:
    """And stays, reported, as long as it holds a message."""
    both = table(media=("image.*",), docs=("report.*",))
    await owner.apply(both)
    publish(amqp_url, f"{prefix}.tasks", "report.x")
    only = replace(both, pools={"media": both.pools["media"]})
    steps = await owner.apply(only)
    assert Change.CONFLICT in {step.change for step in steps}
    assert depth(amqp_url, f"{prefix}.pool.docs") == 1
    with connected(amqp_url) as broker:
        broker.channel().queue_purge(f"{prefix}.pool.docs")
    await owner.apply(only)
    assert depth(amqp_url, f"{prefix}.pool.docs") is None
    assert await owner.plan(only) == []


async def test_an_alternate_exchange_would_blind_the_publisher(amqp_url: str, prefix: str) -> None:
    """Why there is none: see docs/adr/0004. What it takes counts as routed and is not returned."""
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
            fresh.basic_publish_confirm(amqp.Message("x"), exchange, "nobody", mandatory=True)
            returned[name] = bool(back)
    assert returned == {"with": False, "without": True}
