"""The windows on real servers: what the broker holds, and who comes next."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from taskyard.broker.declare import connected
from taskyard.broker.publisher import Publisher, open_publisher
from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.principal import Owner, TenantId
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.task import NewTask, TaskId
from taskyard.services.fill import IDLE, Filler
from taskyard.services.fresh import HOLD, open_fresh
from taskyard.services.intake import open_intake
from taskyard.services.reprioritise import ReprioritiseRequest, reprioritise
from taskyard.services.rooms import Rooms
from taskyard.services.topology import apply_topology
from taskyard.storage import tasks, windows
from taskyard.storage.pool import OwnPool, connect, open_pool
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.sql import queries

Connection = psycopg.AsyncConnection[Any]

WINDOW = 20
POOL = Pool(name="p", tasks=("a.*",), modules=("m",), window=WINDOW, ageing=timedelta(minutes=1))
TABLE = RoutingTable(pools={"p": POOL}, defaults={})


@dataclass
class Yard:
    """A pool without workers: the test takes its wake-ups, as a worker would claim them."""

    connection: Connection
    pool: ConnectionPool
    publisher: Publisher
    amqp_url: str
    queue: str
    tenants: dict[TaskId, str] = field(default_factory=dict)

    def filler(self) -> Filler:
        return Filler(connections=self.pool, publisher=self.publisher, table=TABLE)

    async def store(self, tenant: str, count: int, **changes: Any) -> list[TaskId]:
        given = NewTask(
            id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
            max_attempts=3, tenant=TenantId(tenant),
        )  # fmt: skip
        rows = [replace(given, id=TaskId(uuid4()), **changes) for _ in range(count)]
        await tasks.insert(self.connection, rows)
        self.tenants |= {row.id: tenant for row in rows}
        return [row.id for row in rows]

    async def fill(self) -> None:
        await self.publisher.connected.wait()
        filler = self.filler()
        while await filler.fill() == 0.0:
            pass

    async def claim(self, count: int) -> list[TaskId]:
        """Take wake-ups out of the queue, in its order, and begin their tasks."""
        found = []
        with connected(self.amqp_url) as broker:
            channel = broker.channel()
            while len(found) < count and (message := channel.basic_get(self.queue, no_ack=True)):
                found.append(TaskId(message.properties["application_headers"]["id"]))
        await self.connection.execute(
            "UPDATE tasks SET state = 'running', lease_token = id, lease_expires_at = now()"
            " WHERE id = ANY (%s) AND state <> 'running'",
            (found,),
        )
        return [next(known for known in self.tenants if str(known) == each) for each in found]

    async def count(self, state: str) -> int:
        row = await (
            await self.connection.execute("SELECT count(*) FROM tasks WHERE state = %s", (state,))
        ).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
async def yard(
    connection: Connection, database_url: str, amqp_url: str, prefix: str
) -> AsyncIterator[Yard]:
    await apply_topology(connection, amqp_url=amqp_url, table=TABLE, prefix=prefix)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database_url, name="tests", size=4))
        exchange = exchange_name(prefix)
        publisher = await stack.enter_async_context(open_publisher(amqp_url, exchange))
        yield Yard(connection, pool, publisher, amqp_url, queue_name(prefix, "p"))


async def test_the_broker_holds_a_window_and_no_more(yard: Yard) -> None:
    """What is claimed is made up for in the next round."""
    await yard.store("noisy", 500)
    await yard.fill()
    assert await yard.count("queued") == WINDOW
    assert len(await yard.claim(5)) == 5
    assert await yard.count("queued") == WINDOW - 5
    await yard.fill()
    assert await yard.count("queued") == WINDOW
    assert len(await yard.claim(500)) == WINDOW


async def test_a_tenants_one_task_is_not_delayed_by_anothers_thousands(yard: Yard) -> None:
    """It waits for what the broker held when it came, and for one turn of the other tenant."""
    await yard.store("noisy", 3_000)
    await yard.fill()
    await yard.claim(10)
    await yard.fill()
    await yard.store("quiet", 1)
    began = []
    for _ in range(5):
        began += [yard.tenants[each] for each in await yard.claim(10)]
        await yard.fill()
    assert began.index("quiet") <= WINDOW + 1


async def test_tenants_share_by_weight_over_many_rounds(yard: Yard) -> None:
    """Three to one, though each round is small and any dispatcher may do it."""
    await yard.connection.execute("INSERT INTO tenants (name, weight) VALUES ('gold', 3)")
    for tenant in ("gold", "iron"):
        await yard.store(tenant, 300)
    await yard.fill()
    began: Counter[str] = Counter()
    for _ in range(40):
        began.update(yard.tenants[each] for each in await yard.claim(5))
        await yard.fill()
    assert 148 <= began["gold"] <= 152


async def test_the_urgent_passes_all_that_waits(yard: Yard) -> None:
    """And what the broker holds: it is behind nothing but what has begun."""
    await yard.store("noisy", 200)
    await yard.fill()
    [urgent] = await yard.store("noisy", 1, priority=9)
    await yard.claim(1)
    await yard.fill()
    assert await yard.claim(1) == [urgent]


async def test_who_waited_long_passes_later_and_more_urgent_ones(yard: Yard) -> None:
    """In the broker too: it is published with the level that it has risen to."""
    [old] = await yard.store("noisy", 1, priority=0)
    await yard.connection.execute("UPDATE tasks SET due_at = now() - interval '10 minutes'")
    await yard.store("noisy", 200, priority=8)
    await yard.fill()
    assert await yard.claim(1) == [old]


async def test_a_queued_task_that_becomes_urgent_is_next(yard: Yard) -> None:
    """Its second wake-up passes what the broker holds; the first one finds nothing to claim."""
    stored = await yard.store("noisy", WINDOW)
    await yard.fill()
    await reprioritise(
        OwnPool(yard.pool, Owner(TenantId("noisy"))),
        stored[-1],
        ReprioritiseRequest(priority=9),
        publisher=yard.publisher,
        table=TABLE,
        now=datetime.now(UTC),
    )
    order = await yard.claim(WINDOW + 1)
    assert order == [stored[-1], *stored]


async def test_a_pending_task_that_becomes_urgent_is_filled_in_next(yard: Yard) -> None:
    """Its place in Postgres is changed, nothing else."""
    stored = await yard.store("noisy", 3 * WINDOW)
    await yard.fill()
    await yard.connection.execute("UPDATE tasks SET priority = 8 WHERE id = %s", (stored[-1],))
    assert await yard.claim(1) == stored[:1]
    await yard.fill()
    assert await yard.claim(1) == [stored[-1]]


async def test_an_api_publishes_at_once_only_while_there_is_room(yard: Yard) -> None:
    """Beyond the window its rows wait for their turn, in the broker's stead."""
    await windows.know(yard.connection, "p", size=WINDOW)
    async with (
        open_fresh(publisher=yard.publisher, pool=yard.pool) as fresh,
        open_intake(yard.pool, fresh, largest_backlog=10_000) as intake,
    ):
        await yard.publisher.connected.wait()
        [first] = await intake.store_batch([_new(hold=HOLD)])
        await _until(yard, "queued", 1)
        for _ in range(30):
            await intake.store_batch([_new(hold=HOLD) for _ in range(10)])
    assert 1 <= await yard.count("queued") <= WINDOW + 16
    assert await yard.count("pending") >= 301 - WINDOW - 16
    row = await (
        await yard.connection.execute(
            "SELECT count(*) FROM tasks WHERE state = 'pending' AND publish_at > now()"
        )
    ).fetchone()
    assert row == (0,)
    assert first


async def test_a_task_for_later_is_told_however_much_waits(
    yard: Yard, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dispatcher has a new date to wait for, though it looks at the pool all the time."""
    monkeypatch.setattr(Rooms, "is_filled", lambda *_: True)
    async with (
        await connect(database_url, name="tests") as ear,
        open_fresh(publisher=yard.publisher, pool=yard.pool) as fresh,
        open_intake(yard.pool, fresh, largest_backlog=10_000) as intake,
    ):
        await ear.execute("LISTEN taskyard_dispatch")
        await intake.store_batch([replace(_new(hold=HOLD), delay=3600.0)])
        heard = [each async for each in ear.notifies(timeout=10, stop_after=1)]
    assert heard


async def test_while_others_wait_a_fresh_task_waits_behind_them(yard: Yard) -> None:
    """Room that was just made is theirs."""
    await yard.store("noisy", 100)
    await yard.fill()
    await yard.claim(10)
    assert await windows.rooms(yard.connection, ["p"], unknown=16) == {"p": -1}


async def test_room_is_what_the_broker_may_hold_more(yard: Yard) -> None:
    """Of a pool that nobody has looked at, a little."""
    assert await windows.rooms(yard.connection, ["p", "q"], unknown=16) == {"p": 16, "q": 16}
    await yard.store("noisy", 7)
    await yard.fill()
    assert await windows.rooms(yard.connection, ["p"], unknown=16) == {"p": WINDOW - 7}


async def test_who_waits_for_a_publish_and_not_for_room_is_no_reason_to_wait_behind(
    yard: Yard,
) -> None:
    """What waits fits into the window, so room is what is left beside it."""
    await yard.store("noisy", 7)
    await windows.know(yard.connection, "p", size=WINDOW)
    assert await windows.rooms(yard.connection, ["p"], unknown=16) == {"p": WINDOW - 7}


async def test_a_dispatcher_that_had_work_looks_again_at_once(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stores then does not ring: a task that came right after a round waited up to 1 s."""
    filler = yard.filler()
    await yard.publisher.connected.wait()
    assert await filler.fill() == IDLE
    await yard.store("noisy", 1)
    while (wait := await filler.fill()) == 0.0:
        pass
    assert wait < 0.05
    monkeypatch.setattr("taskyard.services.fill._LINGERS", 0.0)
    assert await filler.fill() == IDLE


async def test_a_pool_that_another_dispatcher_fills_is_left_to_it(yard: Yard) -> None:
    """Nobody waits for it, and nothing is published twice."""
    await yard.store("noisy", 100)
    await windows.know(yard.connection, "p", size=WINDOW)
    await yard.publisher.connected.wait()
    async with yard.connection.transaction():
        assert await windows.take(yard.connection, "p", largest=WINDOW) is not None
        assert 0.0 < await yard.filler().fill() < IDLE
    assert await yard.count("queued") == 0


async def test_a_round_costs_what_the_window_holds(yard: Yard) -> None:
    """However many wait: no statement of a round reads more rows of tasks than a few windows."""
    for tenant in ("a", "b", "c"):
        await yard.store(tenant, 3_000, priority=3)
        await yard.store(tenant, 1_000)
        await yard.store(tenant, 1_000, priority=2, hold=3600.0)  # as a replay with a rate does
    await yard.fill()
    await yard.connection.execute("ANALYZE tasks")
    asked = {
        "pool": "p", "room": WINDOW, "after": "", "lines": 1000, "most": WINDOW + 5,
        "pools": ["p"], "unknown": 16,
    }  # fmt: skip
    for name in ("waiting_pools", "take_window", "read_lines", "read_rooms"):
        await _reads_no_more_than(5 * WINDOW, yard.connection, name, asked)


async def test_what_is_pending_but_not_due_is_not_read(yard: Yard) -> None:
    """A replay with a rate leaves a million of these: they are passed over by index."""
    for tenant in ("a", "b", "c"):
        await yard.store(tenant, 3_000, hold=3600.0)
    await windows.know(yard.connection, "p", size=WINDOW)
    await yard.connection.execute("ANALYZE tasks")
    assert await windows.rooms(yard.connection, ["p"], unknown=16) == {"p": WINDOW}
    asked = {"pool": "p", "pools": ["p"], "room": WINDOW, "after": "", "lines": 9, "unknown": 16}
    for name in ("read_lines", "read_rooms"):
        await _reads_no_more_than(WINDOW, yard.connection, name, asked)


async def test_no_statement_is_compiled(yard: Yard) -> None:
    """The costs of those over a million rows suggest it, and it takes longer than they do."""
    row = await (await yard.connection.execute("SHOW jit")).fetchone()
    assert row == ("off",)


_IN_ORDER = {"Index Scan", "Index Only Scan"}


async def _reads_no_more_than(
    rows: int, connection: Connection, name: str, asked: dict[str, Any]
) -> None:
    statement = "EXPLAIN (ANALYZE, FORMAT JSON) " + queries("windows")[name]
    async with connection.transaction(force_rollback=True):
        row = await (await connection.execute(statement.encode(), asked)).fetchone()
    assert row is not None
    scans = list(_scans(row[0][0]["Plan"]))
    assert scans, name
    # Neither all of it nor, as with a bitmap, all of a line, to be sorted.
    assert {scan["Node Type"] for scan in scans} <= _IN_ORDER, json.dumps(scans)
    assert sum(_read(scan) for scan in scans) <= rows, json.dumps(scans)


def _scans(node: dict[str, Any]) -> Any:
    if node.get("Relation Name") == "tasks":
        yield node
    for child in node.get("Plans", []):
        yield from _scans(child)


def _read(scan: dict[str, Any]) -> float:
    return float(
        scan["Actual Loops"] * (scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0))
    )


def _new(**changes: Any) -> NewTask:
    return NewTask(
        id=TaskId(uuid4()), type="a.b", pool="p", priority=4, args="{}", labels="{}",
        max_attempts=3, **changes,
    )  # fmt: skip


async def _until(yard: Yard, state: str, expected: int) -> None:
    deadline = asyncio.get_running_loop().time() + 10
    while await yard.count(state) != expected:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
