"""worker/permits.py and services/limits.py: what runs and starts stays within its limits."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import pytest

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.limits import Limit, Rate
from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from taskyard.core.routing_limits import limits_for
from taskyard.core.task import Failure, TaskId
from taskyard.services.limits import Released, release_waiting
from taskyard.storage import attempts
from taskyard.storage.pool import Cursor, connect_sync, open_pool
from taskyard.worker import permits
from taskyard.worker.permits import Deferred
from tests.stack import until

INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args)
VALUES (%s, %s, 'p', %s, 'queued', 3, now(), now(), '{}')"""
_IDS = count(1)
STRIPE = Limit(name="resource:stripe", concurrency=2)
FIVE = Rate(5, timedelta(seconds=1))


def table(*, stripe: Limit = STRIPE, **a_b: Any) -> RoutingTable:
    """`a.b` as given, `a.pay` and `a.refund` with the resource stripe, `a.free` without limits."""
    shares = TaskDefaults(resources=("stripe",))
    return RoutingTable(
        pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))},
        defaults={"a.b": TaskDefaults(**a_b), "a.pay": shares, "a.refund": shares},
        resources={"stripe": stripe},
    )


@dataclass
class Yard:
    """A database, and what workers and the dispatcher do with it."""

    cursor: Cursor
    url: str
    table: RoutingTable

    def queued(self, task_type: str = "a.b", *, priority: int = 4) -> TaskId:
        task_id = TaskId(UUID(int=next(_IDS)))  # as UUIDv7 are: in the order of their making
        self.cursor.execute(INSERT, (task_id, task_type, priority))
        return task_id

    def claim(
        self, task_id: TaskId, task_type: str = "a.b", cursor: Cursor | None = None
    ) -> Lease | Deferred | None:
        return permits.claim(
            cursor or self.cursor, task_id, task_type, "w1", LeaseToken(uuid4()),
            limits_for(self.table, task_type),
        )  # fmt: skip

    def finish(self, lease: Any) -> None:
        assert isinstance(lease, Lease)
        assert attempts.finish(self.cursor, lease, "null")

    async def release(self) -> Released:
        async with open_pool(self.url, name="tests", size=2) as pool:
            return await release_waiting(pool, self.table)

    def state(self, task_id: TaskId) -> tuple[str, str | None, int]:
        return self.ask("SELECT state, reason, attempt FROM tasks WHERE id = %s", task_id)

    def pending(self) -> set[TaskId]:
        rows = self.cursor.execute("SELECT id FROM tasks WHERE state = 'pending'").fetchall()
        return {row[0] for row in rows}

    def ask(self, query: str, *values: Any) -> Any:
        row = self.cursor.execute(query.encode(), values).fetchone()
        assert row is not None
        return row if len(row) > 1 else row[0]


@pytest.fixture
def yard(database_url: str) -> Iterator[Callable[..., Yard]]:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        yield lambda **given: Yard(cursor, database_url, table(**given))


@contextmanager
def workers(yard: Yard, count: int) -> Iterator[list[Cursor]]:
    """Connections as so many workers have them."""
    opened = [connect_sync(yard.url, name="tests") for _ in range(count)]
    try:
        yield [each.cursor() for each in opened]
    finally:
        for each in opened:
            each.close()


def at_once(claims: Sequence[Callable[[], Any]]) -> list[Any]:
    """What many threads got that claimed at the same moment."""
    got: list[Any] = [None] * len(claims)
    start = threading.Barrier(len(claims))

    def run(number: int) -> None:
        start.wait()
        got[number] = claims[number]()

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(claims))]
    for each in threads:
        each.start()
    for each in threads:
        each.join(30)
    return got


async def test_no_more_run_at_once_than_the_type_allows(yard: Callable[..., Yard]) -> None:
    """Sixteen workers claim at the same moment; three get a lease, the rest wait in the line."""
    it = yard(concurrency=3)
    ids = [it.queued() for _ in range(16)]
    with workers(it, 16) as cursors:
        got = at_once([
            lambda n=n: it.claim(ids[n], cursor=cursors[n]) for n in range(16)
        ])  # fmt: skip
    assert sorted(type(each).__name__ for each in got) == ["Deferred"] * 13 + ["Lease"] * 3
    deferred = [i for i, each in zip(ids, got, strict=True) if isinstance(each, Deferred)]
    assert {it.state(each) for each in deferred} == {("scheduled", "waits for task:a.b", 0)}


async def test_the_end_of_one_lets_the_next_go_on(yard: Callable[..., Yard]) -> None:
    """The most urgent first, then the oldest; and nobody who comes later passes them."""
    it = yard(concurrency=1)
    running = it.claim(it.queued())
    first, second = it.queued(), it.queued()
    urgent = it.queued(priority=9)
    for each in (second, first, urgent):
        assert isinstance(it.claim(each), Deferred)
    assert (await it.release()).count == 0
    for expected in (urgent, first, second):
        it.finish(running)
        newcomer = it.queued(priority=0)
        assert isinstance(it.claim(newcomer), Deferred)
        assert (await it.release()).count == 1
        assert it.pending() == {expected}
        assert it.state(expected) == ("pending", None, 0)
        running = it.claim(expected)
        assert isinstance(running, Lease)


async def test_one_tenants_line_does_not_hold_up_another(yard: Callable[..., Yard]) -> None:
    """They take turns, release by release."""
    it = yard(concurrency=1)
    running = it.claim(it.queued())
    noisy = [it.queued() for _ in range(4)]
    quiet = it.queued()
    it.cursor.execute("UPDATE tasks SET tenant = 'quiet' WHERE id = %s", (quiet,))
    for each in (*noisy, quiet):
        assert isinstance(it.claim(each), Deferred)
    gone = []
    for _ in range(3):
        it.finish(running)
        assert (await it.release()).count == 1
        gone += it.pending()
        running = it.claim(gone[-1])
    assert gone == [noisy[0], quiet, noisy[1]]


async def test_a_reserved_place_is_nobody_elses(yard: Callable[..., Yard]) -> None:
    """Who comes while the released task is on its way to a worker waits, however urgent."""
    it = yard(concurrency=1)
    running = it.claim(it.queued())
    waiting = it.queued()
    assert isinstance(it.claim(waiting), Deferred)
    it.finish(running)
    assert (await it.release()).count == 1
    assert isinstance(it.claim(it.queued(priority=9)), Deferred)
    assert isinstance(it.claim(waiting), Lease)


async def test_who_was_released_is_published_before_what_came_later(
    yard: Callable[..., Yard],
) -> None:
    """Else its room would be kept for nothing while its pool has much to do."""
    it = yard(concurrency=1)
    running = it.claim(it.queued())
    waiting = it.queued()
    assert isinstance(it.claim(waiting), Deferred)
    later = it.queued("a.free")
    it.cursor.execute("UPDATE tasks SET state = 'scheduled' WHERE id = %(id)s", {"id": later})
    it.cursor.execute("UPDATE tasks SET state = 'pending' WHERE id = %(id)s", {"id": later})
    it.finish(running)
    assert (await it.release()).count == 1
    rows = it.cursor.execute("SELECT id FROM tasks WHERE state = 'pending' ORDER BY publish_at")
    assert [row[0] for row in rows] == [waiting, later]


async def test_a_crash_frees_what_its_attempt_held(yard: Callable[..., Yard]) -> None:
    """Permits are those of live leases: whoever takes the task back need not know of them."""
    it = yard(concurrency=1)
    lost = it.queued()
    assert isinstance(it.claim(lost), Lease)
    waiting = it.queued()
    assert isinstance(it.claim(waiting), Deferred)
    failure = Failure(code="worker-lost", message="gone")
    attempts.take_back(it.cursor, [lost], worker="w1", failure=failure, crashed=True)
    assert (await it.release()).count == 1
    assert isinstance(it.claim(waiting), Lease)


async def test_a_resource_is_shared_by_all_types_that_name_it(yard: Callable[..., Yard]) -> None:
    """Two may run, of whichever type; a type without it is not held up."""
    it = yard()
    pay, refund = it.claim(it.queued("a.pay"), "a.pay"), it.claim(it.queued("a.refund"), "a.refund")
    assert isinstance(pay, Lease)
    assert isinstance(refund, Lease)
    third = it.queued("a.refund")
    assert it.claim(third, "a.refund") == Deferred("resource:stripe")
    assert isinstance(it.claim(it.queued("a.free"), "a.free"), Lease)
    it.finish(pay)
    assert (await it.release()).count == 1
    assert it.pending() == {third}


async def test_never_more_start_within_a_period_than_the_rate(yard: Callable[..., Yard]) -> None:
    """Eight workers claim what there is, for three seconds of starts; any second has five."""
    it = yard(rate=FIVE)
    ids = [it.queued() for _ in range(40)]
    starts: list[float] = []
    ends = time.monotonic() + 30

    def work(number: int, cursor: Cursor) -> None:
        mine = ids[number::8]
        while mine and len(starts) < 15 and time.monotonic() < ends:
            if isinstance(it.claim(mine[0], cursor=cursor), Lease):
                mine.pop(0)
                row = cursor.execute("SELECT max(at) FROM starts").fetchone()
                assert row is not None
                starts.append(row[0].timestamp())
            else:  # back from the line at once, as no dispatcher would do
                cursor.execute(
                    "UPDATE tasks SET state = 'pending', due_at = now(), waits_for = NULL"
                    " WHERE id = %s AND state = 'scheduled'", (mine[0],),
                )  # fmt: skip

    with workers(it, 8) as cursors:
        at_once([lambda n=n: work(n, cursors[n]) for n in range(8)])
    starts.sort()
    assert len(starts) >= 15  # it is used, not only kept
    sixth = [later - earlier for earlier, later in zip(starts, starts[5:], strict=False)]
    assert min(sixth) >= 0.99  # read a moment after each start


async def test_a_rate_says_when_it_opens(yard: Callable[..., Yard]) -> None:
    """The dispatcher sleeps until then; then five go on together."""
    it = yard(rate=FIVE)
    for _ in range(5):
        assert isinstance(it.claim(it.queued()), Lease)
    for _ in range(7):
        assert isinstance(it.claim(it.queued()), Deferred)
    released = await it.release()
    assert released.count == 0
    assert released.next_in is not None
    assert 0 < released.next_in <= 1
    await asyncio.sleep(released.next_in)  # it is tested that this is long enough
    assert (await it.release()).count >= 1


async def test_reports_halve_the_budget_once_for_each_flight(yard: Callable[..., Yard]) -> None:
    """Attempts that began before it was halved speak of the old budget."""
    it = yard(stripe=Limit(name="resource:stripe", concurrency=8))
    leases = [it.claim(it.queued("a.pay"), "a.pay") for _ in range(8)]
    [stripe] = limits_for(it.table, "a.pay")
    for lease in leases:
        assert isinstance(lease, Lease)
        permits.report_throttled(it.cursor, stripe, pause=0.0, task_id=lease.id)
    share, reports = it.ask("SELECT share, reports FROM limits")
    assert (share, reports) == (0.5, 8)
    for lease in leases[:5]:
        it.finish(lease)
    after = [it.claim(it.queued("a.pay"), "a.pay") for _ in range(2)]
    assert [type(each) for each in after] == [Lease, Deferred]  # four of eight run again
    assert isinstance(after[0], Lease)
    permits.report_throttled(it.cursor, stripe, pause=0.0, task_id=after[0].id)
    assert it.ask("SELECT share FROM limits") == pytest.approx(0.25, abs=0.01)


async def test_nothing_starts_while_a_resource_is_paused(yard: Callable[..., Yard]) -> None:
    """The service said when it may be asked again."""
    it = yard()
    lease = it.claim(it.queued("a.pay"), "a.pay")
    assert isinstance(lease, Lease)
    [stripe] = limits_for(it.table, "a.pay")
    permits.report_throttled(it.cursor, stripe, pause=30.0, task_id=lease.id)
    it.finish(lease)
    assert isinstance(it.claim(it.queued("a.pay"), "a.pay"), Deferred)
    released = await it.release()
    assert released.count == 0
    assert released.next_in == pytest.approx(30, abs=2)


async def test_a_limit_that_was_taken_out_holds_nobody(yard: Callable[..., Yard]) -> None:
    """Who waited for it goes on when the dispatcher has the new table."""
    it = yard(concurrency=1)
    assert isinstance(it.claim(it.queued()), Lease)
    waiting = it.queued()
    assert isinstance(it.claim(waiting), Deferred)
    it.table = table()
    assert (await it.release()).count == 1
    assert isinstance(it.claim(waiting), Lease)


async def test_who_needs_two_limits_waits_for_the_one_that_is_full(
    yard: Callable[..., Yard],
) -> None:
    """And takes up no room in the other meanwhile."""
    it = yard(concurrency=1, resources=("stripe",))
    one, two = it.claim(it.queued("a.pay"), "a.pay"), it.claim(it.queued("a.pay"), "a.pay")
    both = it.queued()
    assert it.claim(both) == Deferred("resource:stripe")
    it.finish(one)
    other = it.queued()
    assert it.claim(other) == Deferred("resource:stripe")
    assert (await it.release()).count == 1
    running = it.claim(both)
    it.finish(two)
    assert (await it.release()).count == 0
    assert it.state(other)[1] == "waits for task:a.b"
    assert isinstance(it.claim(it.queued("a.pay"), "a.pay"), Lease)
    it.finish(running)
    assert (await it.release()).count == 1


def test_the_same_claim_said_again_gets_the_same_lease(yard: Callable[..., Yard]) -> None:
    """The first answer may have been lost with the connection; the place is not taken twice."""
    it = yard(concurrency=1)
    task_id, token = it.queued(), LeaseToken(uuid4())
    bounds = limits_for(it.table, "a.b")
    first, second = (
        permits.claim(it.cursor, task_id, "a.b", "w1", token, bounds) for _ in range(2)
    )
    assert first == second
    assert isinstance(first, Lease)
    assert it.claim(task_id) is None  # a wake-up too many is no reason to wait in a line
    assert it.state(task_id)[0] == "running"


def test_a_task_that_was_cancelled_takes_no_place(yard: Callable[..., Yard]) -> None:
    """What is not claimed after all leaves nothing behind."""
    it = yard(concurrency=1)
    task_id = it.queued()
    it.cursor.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE id = %s", (task_id,)
    )
    assert it.claim(task_id) is None
    assert isinstance(it.claim(it.queued()), Lease)


async def test_the_mark_of_an_old_wake_up_does_not_hit_a_released_task(
    yard: Callable[..., Yard],
) -> None:
    """A task deferred before it was marked as queued stays in the line until the mark has come."""
    it = yard(concurrency=1)
    running = it.claim(it.queued())
    waiting = it.queued()
    it.cursor.execute("UPDATE tasks SET state = 'scheduled' WHERE id = %s", (waiting,))
    it.cursor.execute("UPDATE tasks SET state = 'pending' WHERE id = %s", (waiting,))
    assert isinstance(it.claim(waiting), Deferred)
    it.finish(running)
    assert (await it.release()).count == 0
    it.cursor.execute("UPDATE tasks SET publish_at = now() WHERE id = %s", (waiting,))
    assert (await it.release()).count == 1
    until(lambda: it.pending() == {waiting})
