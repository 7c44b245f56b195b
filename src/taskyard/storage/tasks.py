"""Tasks as the API and the dispatcher see them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.backlog import Holding
from taskyard.core.errors import IdempotencyKeyReused
from taskyard.core.idempotency import KeyedRequest
from taskyard.core.principal import TenantId
from taskyard.core.sealed import Place
from taskyard.core.states import State
from taskyard.core.task import Accepted, Failure, NewTask, Task, TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.storage import idempotency
from taskyard.storage.attempts import taking_back
from taskyard.storage.opened import HISTORY, LISTED, TASK, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries
from taskyard.storage.task_pages import Page, read_page

_SQL = queries("tasks")

Stored = Accepted | IdempotencyKeyReused


async def insert(connection: AsyncConnection, tasks: Sequence[NewTask]) -> dict[TaskId, Stored]:
    """Store all submissions or none, in one commit, and return what became of each.

    What is stored already is left as it is. A submission whose idempotency key is taken gets the
    reply that the first one got, or IdempotencyKeyReused when that asked for something else.
    """
    outcomes = await _insert(connection, tasks)
    while len(outcomes) < len(tasks):
        outcomes |= await _stored_before(connection, _without(tasks, outcomes))
        # A key that was forgotten between the two statements is free again.
        if forgotten := _without(tasks, outcomes):
            outcomes |= await _insert(connection, forgotten)
    return outcomes


def _without(tasks: Sequence[NewTask], outcomes: Mapping[TaskId, Stored]) -> list[NewTask]:
    return [task for task in tasks if task.id not in outcomes]


async def _insert(connection: AsyncConnection, tasks: Sequence[NewTask]) -> dict[TaskId, Stored]:
    keyed = any(task.keyed for task in tasks)
    row, name = (_keyed_row, "insert_keyed_tasks") if keyed else (_row, "insert_tasks")
    given = {"rows": msgspec.json.encode([row(task, connection.ring) for task in tasks]).decode()}
    rows = await (await connection.execute(_SQL[name], given)).fetchall()
    return {row[0]: _accepted(row) for row in rows}


async def _stored_before(
    connection: AsyncConnection, tasks: Sequence[NewTask]
) -> dict[TaskId, Stored]:
    """Return what earlier INSERTs stored: of other submissions, or of these before a break."""
    outcomes: dict[TaskId, Stored] = {}
    if keys := [task.keyed.key for task in tasks if task.keyed]:
        used = await idempotency.find(connection, keys)
        for task in tasks:
            if task.keyed and (first := used.get(task.keyed.key)):
                outcomes[task.id] = _answer(task, task.keyed, first)
    if ids := [task.id for task in tasks if not task.keyed]:
        rows = await (await connection.execute(_SQL["find_accepted"], {"ids": ids})).fetchall()
        outcomes |= {row[0]: _accepted(row) for row in rows}
    return outcomes


def _answer(task: NewTask, request: KeyedRequest, first: idempotency.FirstUse) -> Stored:
    reply = first.reply
    if reply.id == task.id:  # it is no repeat: this very submission was stored before a break
        return Accepted(
            id=reply.id, state=reply.state, created_at=reply.created_at, due_at=reply.due_at
        )
    if first.request_hash == request.request_hash:
        return reply
    return IdempotencyKeyReused(
        f"the idempotency key {request.key.text!r} was used for another request, which made the "
        f"task {reply.id}"
    )


def _row(task: NewTask, ring: KeyRing) -> dict[str, Any]:
    args = ring.seal(task.args, Place(task.tenant, task.id, "args"))
    return {
        "id": task.id,
        "tenant": task.tenant,
        "type": task.type,
        "pool": task.pool,
        "priority": task.priority,
        "args": msgspec.Raw(args.encode()),
        "labels": msgspec.Raw(task.labels.encode()),
        "max_attempts": task.max_attempts,
        "max_crashes": task.max_crashes,
        "at_most_once": task.at_most_once,
        "delay": task.delay,
        "run_at": task.run_at,
        "expires_in": task.expires_in,
        "deadline": task.deadline,
        "hold": task.hold,
        "watched": task.watched,
        "notify_url": task.notify_url,
        **_dates(task),
        **(task.trace.headers if task.trace else {}),
    }


def _dates(task: NewTask) -> dict[str, Any]:
    """Most have none: what is not said costs nothing."""
    if task.finish_by is None:
        return {}
    return {"finish_by": task.finish_by, "start_by": task.start_by}


def _keyed_row(task: NewTask, ring: KeyRing) -> dict[str, Any]:
    if task.keyed is None:
        return _row(task, ring)
    return _row(task, ring) | {
        "key_tenant": task.keyed.key.tenant,
        "key": task.keyed.key.text,
        "request_hash": "\\x" + task.keyed.request_hash.hex(),
        "key_life": task.key_life,
    }


def _accepted(row: tuple[Any, ...]) -> Accepted:
    return Accepted(id=row[0], state=State(row[1]), created_at=row[2], due_at=row[3])


async def get(connection: AsyncConnection, task_id: TaskId, *, told: bool = False) -> Task | None:
    """Return one task, or None. Raises EncryptionKeyMissing and SealBroken.

    With `told`, what cannot be opened says why in its place.
    """
    async with connection.cursor(row_factory=opened_row(Task, LISTED if told else TASK)) as cursor:
        await cursor.execute(_SQL["get_task"], {"id": task_id} | owned_by(connection))
        return await cursor.fetchone()


async def these(connection: AsyncConnection, ids: Sequence[TaskId]) -> Page:
    """Return these tasks, newest first; `more` if not all of them fit into a page."""
    return await read_page(connection, _SQL["list_tasks"], {"ids": ids}, limit=None)


async def events(connection: AsyncConnection, task_id: TaskId) -> list[dict[str, Any]]:
    """Return the history of a task, in order."""
    async with connection.cursor(row_factory=opened_row(_history, HISTORY)) as cursor:
        await cursor.execute(_SQL["list_events"], {"id": task_id} | owned_by(connection))
        return await cursor.fetchall()


def _history(*, id: TaskId, tenant: str, **event: Any) -> dict[str, Any]:  # noqa: A002
    return event


async def cancel_unstarted(connection: AsyncConnection, task_id: TaskId, reason: str) -> bool:
    """Cancel a task that has not started; return whether it was so."""
    given = {"id": task_id, "reason": reason} | owned_by(connection)
    cursor = await connection.execute(_SQL["cancel_unstarted"], given)
    return await cursor.fetchone() is not None


async def reprioritise(connection: AsyncConnection, task_id: TaskId, priority: int) -> bool:
    """Give a task that waits another priority; return whether it waits."""
    given = {"id": task_id, "priority": priority} | owned_by(connection)
    cursor = await connection.execute(_SQL["reprioritise"], given)
    return await cursor.fetchone() is not None


async def request_cancel(connection: AsyncConnection, task_id: TaskId) -> bool:
    """Ask for a running task to be stopped; return whether it runs."""
    given = {"id": task_id} | owned_by(connection)
    cursor = await connection.execute(_SQL["request_cancel"], given)
    return await cursor.fetchone() is not None


async def reap(connection: AsyncConnection, failure: Failure, *, limit: int) -> dict[TaskId, State]:
    """Take back tasks whose lease has run out, as crashes; return what became of each."""
    async with connection.transaction():
        cursor = await connection.execute(_SQL["lock_expired_leases"], {"limit": limit})
        ids = [row[0] for row in await cursor.fetchall()]
        if not ids:
            return {}
        given = taking_back(ids, worker=None, failure=failure, crashed=True)
        cursor = await connection.execute(queries("attempts")["take_back"], given)
        return {row[0]: State(row[1]) for row in await cursor.fetchall()}


async def promote_due(connection: AsyncConnection, *, limit: int) -> int:
    """Make due tasks pending; return how many."""
    return (await connection.execute(_SQL["promote_due"], {"limit": limit})).rowcount


async def boost_due(connection: AsyncConnection, *, limit: int) -> int:
    """Raise tasks whose date comes near; return how many."""
    return (await connection.execute(_SQL["boost_due"], {"limit": limit})).rowcount


async def expire_due(connection: AsyncConnection, *, limit: int) -> int:
    """Expire tasks that did not start in time; return how many."""
    return (await connection.execute(_SQL["expire_due"], {"limit": limit})).rowcount


async def mark_queued(connection: AsyncConnection, published: Sequence[WakeUp]) -> None:
    """Record that the broker confirmed these wake-ups."""
    given = {
        "ids": [wakeup.id for wakeup in published],
        "attempts": [wakeup.attempt for wakeup in published],
    }
    await connection.execute(_SQL["mark_queued"], given)


async def put_back(connection: AsyncConnection, ids: Sequence[TaskId], reason: str) -> None:
    """Try these wake-ups again after a growing wait: the broker refused them."""
    await connection.execute(_SQL["put_back"], {"ids": ids, "reason": reason})


async def release(connection: AsyncConnection, ids: Sequence[TaskId], reason: str) -> None:
    """Try these wake-ups again as soon as the broker is back."""
    await connection.execute(_SQL["release"], {"ids": ids, "reason": reason})


async def publish_again(
    connection: AsyncConnection, pool: str, queued_before: datetime, reason: str
) -> int:
    """Schedule anew what a pool's workers have not claimed of an older queue; return how many.

    Reads the whole table: call it in a transaction of its own, seldom.
    """
    await connection.execute("SET LOCAL statement_timeout = 0")
    given = {"pool": pool, "queued_before": queued_before, "reason": reason}
    return (await connection.execute(_SQL["publish_again"], given)).rowcount


async def next_deadline(connection: AsyncConnection) -> float | None:
    """Return the seconds until the next task is due or expires, or None."""
    row = await (await connection.execute(_SQL["next_deadline"])).fetchone()
    return None if row is None else row[0]


async def count_pending(
    connection: AsyncConnection, *, at_most: int, pool: str | None = None
) -> int:
    """Count, up to a bound, the tasks that wait to be published, of all pools or one."""
    name = "count_pending" if pool is None else "count_pending_of"
    cursor = await connection.execute(_SQL[name], {"at_most": at_most, "pool": pool})
    row = await cursor.fetchone()
    return row[0] if row else 0


async def count_holdings(
    connection: AsyncConnection, *, at_most: int, pool: str | None = None
) -> dict[TenantId, Holding]:
    """Count, up to a bound, what waits of each tenant, in all pools or one."""
    given = {"at_most": at_most, "pool": pool}
    rows = await (await connection.execute(_SQL["count_holdings"], given)).fetchall()
    return {TenantId(tenant): Holding(waiting, weight) for tenant, waiting, weight in rows}


async def count_running(connection: AsyncConnection) -> dict[str, int]:
    """Return how many tasks run in each pool that runs any."""
    return dict(await (await connection.execute(_SQL["count_running"])).fetchall())


async def ring(connection: AsyncConnection) -> None:
    """Wake the dispatchers."""
    await connection.execute(_SQL["ring"])
