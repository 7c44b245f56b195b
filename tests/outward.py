"""What the tests of webhooks and lifecycle events need: changes of tasks, and relays that read."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

from taskyard.core.task import NewTask, TaskId
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection

ENDS = "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'pending'"
CLAIMS = (
    "UPDATE tasks SET state = 'running', attempt = attempt + 1, lease_token = id,"
    " lease_expires_at = now() + interval '1 h' WHERE state = 'pending'"
)
SUCCEEDS = (
    "UPDATE tasks SET state = 'succeeded', finished_at = now(), lease_token = NULL,"
    " lease_expires_at = NULL, result = %s WHERE state = 'running'"
)


def new(task_type: str = "a.b", *, notify_url: str | None = None) -> NewTask:
    return NewTask(
        id=TaskId(uuid4()), type=task_type, pool="p", priority=4, args="{}", labels='{"k": "v"}',
        max_attempts=3, notify_url=notify_url,
    )  # fmt: skip


async def cancelled(connection: AsyncConnection, count: int, task_type: str = "a.b") -> set[TaskId]:
    """Submit tasks and cancel them: two changes each."""
    rows = [new(task_type) for _ in range(count)]
    await tasks.insert(connection, rows)
    await connection.execute(ENDS)
    return {row.id for row in rows}


async def eventually(
    satisfied: Callable[[], Awaitable[bool]], *, within: float = 15.0, what: str = "it"
) -> None:
    """Wait until something holds."""
    deadline = asyncio.get_running_loop().time() + within
    while not await satisfied():
        assert asyncio.get_running_loop().time() < deadline, f"{what}: not within {within:g} s"
        await asyncio.sleep(0.02)
