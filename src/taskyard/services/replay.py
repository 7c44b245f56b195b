"""Replay: a task that ended badly runs again, as another generation."""

from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.audit import Action
from taskyard.core.backlog import Demand
from taskyard.core.errors import NotReplayable
from taskyard.core.principal import TenantId
from taskyard.core.retention import why_absent
from taskyard.core.routing import RoutingTable
from taskyard.core.states import State, may_become
from taskyard.core.task import Task, TaskId
from taskyard.services import audit
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.field_types import Priority
from taskyard.services.submit import Submission, prepare
from taskyard.storage import dead_letters, tasks
from taskyard.storage.dead_letters import Replay
from taskyard.storage.pool import OwnPool, borrowed


class ReplayRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/tasks/{id}/replay: what to change, if anything."""

    args: dict[str, Any] | None = None
    priority: Priority | None = None


async def replay(
    pool: OwnPool,
    task_id: TaskId,
    wish: ReplayRequest,
    *,
    table: RoutingTable,
    catalog: Catalog,
    entry: Entry,
    now: datetime,
) -> Task:
    """Let an ended task run again, at once, and return it.

    It is checked like a submission of today: raises what `services.submit.prepare` raises, and
    TaskNotFound, TaskGone, NotReplayable, BacklogFull or QuotaExceeded.
    """
    tenant = pool.owner.tenant
    while True:
        async with borrowed(pool) as connection:
            # Other arguments may take the place of those that no key opens.
            task = await tasks.get(connection, task_id, told=wish.args is not None)
        if task is None:
            raise why_absent(task_id, table=table, now=now)
        _require_replayable(task)
        change = _change(task, wish, tenant=tenant, table=table, catalog=catalog, now=now)
        await entry.require(tenant, [[_demand(task, change)]])
        if replayed := await _replayed(pool, task, wish, change):
            return replayed
        # It has changed since it was read: somebody else replays it, or it was removed.


async def _replayed(pool: OwnPool, task: Task, wish: ReplayRequest, change: Replay) -> Task | None:
    """Replay a task that is still as it was read; return it as it is then."""
    async with borrowed(pool) as connection:
        if not await dead_letters.replay(connection, task, change):
            return None
        replayed = await tasks.get(connection, task.id)
        assert replayed is not None
        detail = {
            "generation": replayed.generation,
            "changed": [n for n in wish.__struct_fields__ if getattr(wish, n) is not None],
        }
        await audit.record(connection, Action.TASK_REPLAYED, f"task:{task.id}", detail)
        return replayed


def _demand(task: Task, change: Replay) -> Demand:
    # Arguments that stay as they are were stored before.
    return Demand(
        pool=change.pool,
        priority=task.priority if change.priority is None else change.priority,
        size=len(change.args or ""),
    )


def _alike(one: Any, other: Any) -> bool:
    """Whether two values are the same JSON; to Python 1, 1.0 and True are equal."""
    first, second = (msgspec.json.encode(each, order="deterministic") for each in (one, other))
    return first == second


def _require_replayable(task: Task) -> None:
    if task.state == State.SUCCEEDED:
        raise NotReplayable(
            "the task has succeeded, and a result never changes; submit a new task to run it again"
        )
    if not may_become(State(task.state), State.PENDING) or task.finished_at is None:
        raise NotReplayable(f"the task is {task.state}; only a task that has ended can be replayed")


def _change(
    task: Task,
    wish: ReplayRequest,
    *,
    tenant: TenantId,
    table: RoutingTable,
    catalog: Catalog,
    now: datetime,
) -> Replay:
    args = task.args if wish.args is None else wish.args
    submission = Submission(type=task.type, args=args, priority=wish.priority)
    checked, _ = prepare(submission, tenant=tenant, table=table, catalog=catalog, now=now)
    return Replay(
        pool=checked.pool,
        # Sealed, the same arguments would look changed.
        args=None if wish.args is None or _alike(wish.args, task.args) else checked.args,
        priority=wish.priority,
    )
