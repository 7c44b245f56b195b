"""Taskiq's results in a table of Postgres, one row each."""

import os
from typing import Any

from psycopg import connect
from psycopg.types.json import Json
from psycopg_pool import AsyncConnectionPool
from taskiq import AsyncResultBackend, TaskiqResult

TABLE = """
CREATE TABLE IF NOT EXISTS results (
    id text PRIMARY KEY, value jsonb, at timestamptz NOT NULL DEFAULT clock_timestamp())"""
_STORE = "INSERT INTO results (id, value) VALUES (%s, %s) ON CONFLICT (id) DO NOTHING"
_READ = "SELECT value FROM results WHERE id = %s"


class ResultTable(AsyncResultBackend[Any]):
    """Stores each result in a transaction of its own, before the message is acknowledged."""

    def __init__(self, url: str) -> None:
        self._pool = AsyncConnectionPool(
            url, min_size=1, max_size=8, open=False, kwargs={"autocommit": True}
        )

    async def startup(self) -> None:
        """Open the connections."""
        await self._pool.open(wait=True)

    async def shutdown(self) -> None:
        """Close them."""
        await self._pool.close()

    async def set_result(self, task_id: str, result: TaskiqResult[Any]) -> None:
        """Store a result."""
        async with self._pool.connection() as connection:
            await connection.execute(_STORE, (task_id, Json(result.return_value)))

    async def find(self, task_id: str) -> Any:
        """Return a result, or None."""
        async with self._pool.connection() as connection:
            row = await (await connection.execute(_READ, (task_id,))).fetchone()
        return row[0] if row else None

    async def is_result_ready(self, task_id: str) -> bool:
        """Return whether a result is stored."""
        return await self.find(task_id) is not None

    async def get_result(self, task_id: str, with_logs: bool = False) -> TaskiqResult[Any]:
        """Return a stored result."""
        value = await self.find(task_id)
        return TaskiqResult(is_err=False, return_value=value, execution_time=0.0)


if __name__ == "__main__":
    with connect(os.environ["PEER_DATABASE_URL"]) as connection:
        connection.execute(TABLE)
