"""Why a task is not running, on real servers: each cause brought about, and told."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from taskyard.broker.declare import connected
from taskyard.broker.wakeup import exchange_name
from taskyard.core.causes import Cause
from taskyard.core.circumstances import LACKS_TYPE
from taskyard.core.errors import TaskNotFound
from taskyard.core.lease import LeaseToken
from taskyard.core.principal import TenantId
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.routing_limits import limits_for
from taskyard.core.task import Failure, TaskId
from taskyard.core.wakeup import Confirm
from taskyard.dev.processes import free_port
from taskyard.services.cancel import cancel
from taskyard.storage import attempts, tasks, windows
from taskyard.storage.pool import AsyncConnection
from taskyard.worker import permits
from tests.scene import MINUTE, TABLE, Scene, open_scene

LOST = Failure(code="worker-lost", message="its worker died")


@pytest.fixture
async def scene(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> AsyncIterator[Scene]:
    async with open_scene(
        connection, database_url=database_url, amqp_url=amqp_url, prefix=prefix
    ) as scene:
        yield scene


async def test_what_waits_for_a_date_says_until_when(scene: Scene) -> None:
    """Its own, that of a retry, or that of another try at a worker that knows its type."""
    later = await scene.task(delay=60)
    failed, strange = await scene.task(), await scene.task()
    with scene.worker() as cursor:
        error = Failure(code="task-error", message="KeyError: 'x'")
        assert attempts.retry(cursor, scene.claim(failed), error, MINUTE)
        assert attempts.give_back(cursor, strange, "a.b", LACKS_TYPE)
    codes = {later: Cause.DUE_LATER, failed: Cause.RETRY_LATER, strange: Cause.WORKER_LACKS_TYPE}
    for task, code in codes.items():
        found = await scene.why(task)
        due_at = (await (await scene.connection.execute(_DUE, (task,))).fetchone() or [None])[0]
        assert (found.code, found.until) == (code, due_at)
    assert "task-error: KeyError: 'x'" in (await scene.why(failed)).sentence


_DUE = "SELECT due_at FROM tasks WHERE id = %s"


async def test_what_waits_for_a_limit_says_which_and_until_when(scene: Scene) -> None:
    """For an end of others, for a rate to open, or for a pause to be over."""
    with scene.worker() as cursor:

        async def second(task_type: str) -> TaskId:
            ids = [await scene.task(task_type) for _ in range(2)]
            bounds = limits_for(TABLE, task_type)
            for each in ids:
                token = LeaseToken(uuid4())
                permits.claim(cursor, each, task_type, "p@host", token, bounds)
            return ids[1]

        paid, mailed = await second("a.pay"), await second("a.mail")
        full, rate = await scene.why(paid), await scene.why(mailed)
        permits.report_throttled(cursor, limits_for(TABLE, "a.pay")[0], pause=30, task_id=paid)
    assert (full.code, full.until) == (Cause.LIMIT_FULL, None)
    assert "resource:stripe has no room (1 of 1 run); 1 wait in its line" in full.sentence
    assert (rate.code, "1/m may start" in rate.sentence) == (Cause.LIMIT_FULL, True)
    assert rate.until is not None
    paused = await scene.why(paid)
    assert paused.code is Cause.LIMIT_PAUSED
    assert paused.until is not None


async def test_what_is_due_says_whether_anybody_dispatches(scene: Scene) -> None:
    """The API for a moment, a dispatcher soon, or nobody: it left no trace for too long."""
    assert (await scene.why(await scene.task(hold=5))).code is Cause.HELD
    task = await scene.task()
    assert (await scene.why(task)).code is Cause.DISPATCHED_SOON
    await scene.aged(60)
    assert (await scene.why(task)).code is Cause.DISPATCHED_SOON
    await scene.connection.execute("UPDATE measured SET at = now() - interval '1 minute'")
    found = await scene.why(task)
    assert (found.code, "seen 1m ago" in found.sentence) == (Cause.NO_DISPATCHER, True)


async def test_a_broker_that_is_away_hides_all_else(scene: Scene) -> None:
    """Whether the wake-up is there or not."""
    nowhere = f"amqp://u:p@127.0.0.1:{free_port()}/v"
    pending, queued = await scene.task(), await scene.task()
    await scene.publish(queued)
    for task in (pending, queued):
        assert (await scene.why(task, amqp_url=nowhere)).code is Cause.BROKER_AWAY


async def test_what_a_broker_did_not_take_says_what_it_said(scene: Scene) -> None:
    """No binding is for its type; the queue is full; no answer came at all."""
    unbound, refused, silent = [await scene.task() for _ in range(3)]
    with connected(scene.yard.amqp_url) as broker:
        channel = broker.channel()
        channel.queue_unbind(scene.queue, exchange_name(scene.yard.prefix), "a.*")
        await scene.publish(unbound)
        bounds = {"x-max-length": 0, "x-overflow": "reject-publish"}
        full = channel.queue_declare("", exclusive=True, arguments=bounds).queue
        channel.queue_bind(full, exchange_name(scene.yard.prefix), "a.b")
        await scene.publish(refused)
    await tasks.release(scene.connection, [silent], Confirm.UNANSWERED)
    codes = [(await scene.why(each)).code for each in (unbound, refused, silent)]
    assert codes == [Cause.UNROUTABLE, Cause.BROKER_REFUSES, Cause.BROKER_SILENT]
    assert (await scene.why(unbound)).until is not None


async def test_what_is_with_the_broker_says_what_its_workers_do(scene: Scene) -> None:
    """Nobody is there; they do not know its type; are busy; are free; do not take it."""
    task = await scene.task()
    await scene.publish(task)
    assert (await scene.why(task)).code is Cause.NO_WORKER
    with scene.consumer():
        assert (await scene.why(task)).code is Cause.WORKER_LACKS_TYPE
        scene.announce()
        assert (await scene.why(task)).code is Cause.STARTS_SOON
        await scene.aged(60)
        assert (await scene.why(task)).code is Cause.NOT_TAKEN
        for _ in range(2):
            scene.claim(await scene.task())
        busy = await scene.why(task)
        assert (busy.code, busy.ahead) == (Cause.SLOTS_BUSY, 0)
        assert "2 of 2 slots" in busy.sentence
    with connected(scene.yard.amqp_url) as broker:
        broker.channel().queue_delete(scene.queue)
    assert (await scene.why(task)).code is Cause.NO_QUEUE


async def test_a_type_that_is_routed_no_more_is_told(scene: Scene) -> None:
    """Its task was accepted when it was."""
    bare = RoutingTable(pools={"q": Pool(name="q", tasks=("b.*",), modules=("m",))}, defaults={})
    assert (await scene.why(await scene.task(), table=bare)).code is Cause.NO_POOL


async def test_what_waits_in_its_line_says_how_many_go_before_it(scene: Scene) -> None:
    """Those that the broker holds; and who has a turn before it, of another tenant too."""
    await windows.know(scene.connection, "p", size=4)
    for _ in range(4):
        await scene.task()
    await scene.fill()
    task = await scene.task()
    await scene.aged(5)
    assert (await scene.why(task)).code is Cause.NO_WORKER
    with scene.consumer():
        found = await scene.why(task)
        assert (found.code, found.ahead) == (Cause.WINDOW_FULL, 4)
        await scene.task(priority=9)
        for _ in range(20):
            await scene.task(tenant=TenantId("two"))
        found = await scene.why(task)
        assert (found.code, found.ahead) == (Cause.OTHERS_FIRST, 4 + 1 + 1)


async def test_what_runs_says_where_and_whether_its_worker_is_heard(scene: Scene) -> None:
    """And who asked it to stop."""
    task = await scene.task()
    scene.claim(task)
    found = await scene.why(task)
    assert (found.code, "on p@host" in found.sentence) == (Cause.RUNNING, True)
    await cancel(scene.own, task)
    found = await scene.why(task)
    assert (found.code, "stop by key:ops" in found.sentence) == (Cause.STOPPING, True)
    await scene.aged(16)
    assert (await scene.why(task)).code is Cause.WORKER_SILENT


async def test_what_has_ended_says_how(scene: Scene) -> None:
    """Well, badly, by whom, or for want of time."""
    ids = [await scene.task(max_crashes=1) for _ in range(3)]
    leases = [scene.claim(each) for each in ids]
    with scene.worker() as cursor:
        attempts.finish(cursor, leases[0], "1")
        attempts.fail(cursor, leases[1], Failure(code="permanent-error", message="no such user"))
        attempts.take_back(cursor, [ids[2]], worker="p@host", failure=LOST, crashed=True)
    prevented, late = await scene.task(), await scene.task(expires_in=0.0)
    await cancel(scene.own, prevented)
    await tasks.expire_due(scene.connection, limit=10)
    said = [(await scene.why(each)) for each in (*ids, prevented, late)]
    assert [each.code for each in said] == [
        Cause.SUCCEEDED, Cause.FAILED, Cause.QUARANTINED, Cause.CANCELLED, Cause.EXPIRED,
    ]  # fmt: skip
    assert "permanent-error: no such user" in said[1].sentence
    assert "by key:ops, before it had started" in said[3].sentence


async def test_a_task_of_another_tenant_is_not_there(scene: Scene) -> None:
    """Nor one that never was."""
    other = await scene.task(tenant=TenantId("two"))
    for task in (other, TaskId(uuid4())):
        with pytest.raises(TaskNotFound):
            await scene.why(task)
