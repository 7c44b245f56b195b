"""Tasks that have ended in every way, to be replayed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from uuid_utils.compat import uuid7

from taskyard.core.routing import Pool as WorkerPool
from taskyard.core.routing import RoutingTable
from taskyard.core.states import TERMINAL, State
from taskyard.core.task import Task, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.replay import ReplayRequest, replay
from taskyard.storage import task_types, tasks
from taskyard.storage.pool import Pool, connect_sync
from taskyard.storage.task_types import Announcement
from tests.own import entry_of, own

Connection = psycopg.AsyncConnection[Any]

TABLE = RoutingTable(pools={"p": WorkerPool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DAY = timedelta(days=1)
INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args, labels,
                   error, reason, finished_at, expires_at, deadline_at, lease_token,
                   lease_expires_at, error_count, crash_count, attempt, cancel_requested_at)
VALUES (%(id)s, %(type)s, 'old', 4, %(state)s, 3, now() + interval '1 day', now(), '{"n": 1}',
        %(labels)s, %(error)s, %(reason)s, CASE WHEN %(ended)s THEN now() - %(ago)s END,
        now() + %(expires_in)s, now() + %(expires_in)s,
        CASE WHEN %(state)s = 'running' THEN %(id)s END,
        CASE WHEN %(state)s = 'running' THEN now() END, 3, 2, 5, now())"""


async def given(
    connection: Connection,
    state: str = "failed",
    *,
    task_type: str = "a.b",
    error: str | None = '{"code": "KeyError", "message": "no"}',
    reason: str | None = None,
    labels: str = "{}",
    ago: timedelta = timedelta(0),
    expires_in: timedelta | None = None,
) -> TaskId:
    """A task in a state, after five attempts."""
    task_id = TaskId(uuid7())
    values = {
        "id": task_id, "type": task_type, "state": state, "labels": labels, "error": error,
        "reason": reason, "ended": State(state) in TERMINAL, "ago": ago, "expires_in": expires_in,
    }  # fmt: skip
    await connection.execute(INSERT, values)
    return task_id


async def again(
    pool: Pool,
    task_id: TaskId,
    *,
    catalog: Catalog | None = None,
    table: RoutingTable = TABLE,
    entry: Entry | None = None,
    **wish: Any,
) -> Task:
    return await replay(
        own(pool),
        task_id,
        ReplayRequest(**wish),
        table=table,
        catalog=catalog or Catalog(),
        entry=entry or entry_of(pool),
        now=datetime.now(UTC),
    )


async def states(connection: Connection) -> dict[TaskId, str]:
    return dict(await (await connection.execute("SELECT id, state FROM tasks")).fetchall())


async def events(connection: Connection, task_id: TaskId) -> list[dict[str, Any]]:
    return await tasks.events(connection, task_id)


async def announced(pool: Pool, database_url: str) -> Catalog:
    """What the API knows once a worker has announced a.b, which needs a number n."""
    with connect_sync(database_url, name="worker") as worker:
        task_type = Announcement(type="a.b", pool="p", description="", schema=SCHEMA)
        task_types.announce(worker, "p", [task_type])
    catalog = Catalog()
    await catalog.refresh(pool)
    return catalog
