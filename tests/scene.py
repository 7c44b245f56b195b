"""A pool on real servers, its tasks, and who does something to them: to ask why they wait."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import amqp

from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.causes import Why
from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.limits import Limit, Rate
from taskyard.core.principal import DEFAULT_TENANT, Owner
from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from taskyard.core.task import TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.services.dispatch import dispatch
from taskyard.services.fill import Filler
from taskyard.services.topology import apply_topology
from taskyard.services.why import Yard, why_not_running
from taskyard.storage import attempts, run_times, task_types, tasks
from taskyard.storage.pool import AsyncConnection, OwnPool, connect_sync, open_pool
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.task_types import Announcement
from tests.submissions import new

POOL = Pool(name="p", tasks=("a.*",), modules=("m",), concurrency=2, window=4)
MINUTE = timedelta(minutes=1)
TABLE = RoutingTable(
    pools={"p": POOL},
    defaults={
        "a.pay": TaskDefaults(resources=("stripe",)),
        "a.mail": TaskDefaults(rate=Rate(1, MINUTE)),
    },
    resources={"stripe": Limit(name="resource:stripe", concurrency=1)},
)


@dataclass(frozen=True)
class Scene:
    """A pool with its queue, its tasks, and who does something to them."""

    connection: AsyncConnection
    connections: ConnectionPool
    yard: Yard
    database_url: str

    @property
    def own(self) -> OwnPool:
        return OwnPool(self.connections, Owner(DEFAULT_TENANT), "key:ops")

    async def why(self, task: TaskId, **changes: Any) -> Why:
        """Ask, of a yard that may be another."""
        return await why_not_running(self.own, task, replace(self.yard, **changes))

    async def task(self, task_type: str = "a.b", **more: Any) -> TaskId:
        task = new(None, type=task_type, **more)
        await tasks.insert(self.connection, [task])
        return task.id

    async def aged(self, seconds: float) -> None:
        """Let everything have been so long ago, but for the dispatcher's trace."""
        await self.connection.execute(
            "UPDATE tasks SET due_at = due_at - %(by)s, publish_at = publish_at - %(by)s,"
            " queued_at = queued_at - %(by)s, lease_expires_at = lease_expires_at - %(by)s",
            {"by": timedelta(seconds=seconds)},
        )

    async def dispatcher_runs(self) -> None:
        await run_times.measure(self.connection, every=0)

    async def publish(self, task: TaskId) -> None:
        """Send one wake-up, and record what the broker said, as every dispatcher does."""
        await self.yard.publisher.connected.wait()
        wakeup = WakeUp(id=task, type="a.b", priority=4)
        await dispatch([wakeup], publisher=self.yard.publisher, pool=self.connections)

    async def fill(self) -> None:
        await self.yard.publisher.connected.wait()
        filler = Filler(
            connections=self.connections, publisher=self.yard.publisher, table=self.yard.table
        )
        await filler.fill()

    def claim(self, task: TaskId, task_type: str = "a.b") -> Lease:
        with self.worker() as cursor:
            token = LeaseToken(uuid4())
            lease = attempts.claim(cursor, task, task_type, "p@host", token)
        assert lease is not None
        return lease

    @contextmanager
    def worker(self) -> Iterator[Any]:
        with connect_sync(self.database_url, name="tests") as connection:
            yield connection.cursor()

    def announce(self) -> None:
        with connect_sync(self.database_url, name="tests") as connection:
            told = Announcement(type="a.b", pool="p", description="", schema={})
            task_types.announce(connection, "p", [told])

    @property
    def queue(self) -> str:
        return queue_name(self.yard.prefix, "p")

    @contextmanager
    def consumer(self) -> Iterator[None]:
        """A worker that takes nothing: its hands are full with a message of another."""
        with connected(self.yard.amqp_url) as broker:
            channel = broker.channel()
            channel.basic_qos(0, 1, False)
            channel.basic_publish_confirm(amqp.Message("m", priority=9), routing_key=self.queue)
            channel.basic_consume(self.queue, callback=lambda _: None)
            broker.drain_events(timeout=10)
            yield


@asynccontextmanager
async def open_scene(
    connection: AsyncConnection, *, database_url: str, amqp_url: str, prefix: str
) -> AsyncIterator[Scene]:
    """Make a pool with its queue; a dispatcher was seen just now."""
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url, name="tests", size=4))
        publisher = await stack.enter_async_context(open_publisher(amqp_url, exchange_name(prefix)))
        yard = Yard(table=TABLE, amqp_url=amqp_url, prefix=prefix, publisher=publisher)
        scene = Scene(connection, pool, yard, database_url)
        await scene.dispatcher_runs()
        yield scene
