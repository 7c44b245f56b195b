"""Drain a worker: it takes nothing more, ends what it runs, and leaves.

The request is a row that it sees with its next heartbeat, and it is told at once. From there it is
as if it had been sent SIGTERM: what does not end within the pool's `drain` is given back.
"""

from taskyard.core.audit import Action
from taskyard.core.errors import WorkerNotFound
from taskyard.services import audit
from taskyard.storage import workers
from taskyard.storage.pool import AsyncConnection, OwnPool, borrowed
from taskyard.storage.workers import Worker


async def drain(own: OwnPool, name: str) -> Worker:
    """Ask a worker to leave; once more changes nothing. Raises WorkerNotFound."""
    async with borrowed(own.pool) as connection, connection.transaction():
        former = await _find(connection, name)
        if former is None or not await workers.request_drain(connection, name):
            raise WorkerNotFound(f"there is no worker {name[:200]!r}; it may have left already")
        if former.drain_requested_at is None:
            await audit.record_as(
                connection, Action.WORKER_DRAINED, f"worker:{name}", {"pool": former.pool},
                tenant=own.owner.tenant, actor=own.actor,
            )  # fmt: skip
        return await _find(connection, name) or former


async def _find(connection: AsyncConnection, name: str) -> Worker | None:
    return next((each for each in await workers.workers(connection) if each.name == name), None)
