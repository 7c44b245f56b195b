"""The finishing transaction: what a task writes in it is committed with its result, or not at all.

It has a connection of its own. Progress and memos are committed at once, and a heartbeat of the
parent must never wait for a lock that the task's own transaction holds.
"""

import asyncio
from types import TracebackType

from psycopg import AsyncConnection as PsycopgAsync

from taskyard.core.lease import Lease
from taskyard.storage import attempts
from taskyard.storage.pool import AsyncConnection, Connection, connect
from taskyard.worker.runtime import Runtime


class Effects:
    """The finishing transaction of one attempt, opened when the task first asks for it."""

    def __init__(self, runtime: Runtime, lease: Lease) -> None:
        self._runtime = runtime
        self._lease = lease
        self._sync: Connection | None = None
        self._async: AsyncConnection | None = None
        self._borrowed: asyncio.Semaphore | None = None

    @property
    def are_sync(self) -> bool:
        """Whether a blocking transaction is open."""
        return self._sync is not None

    @property
    def are_async(self) -> bool:
        """Whether an async transaction is open."""
        return self._async is not None

    def begin(self) -> Connection:
        """Return the connection, in a transaction. Raises OperationalError."""
        if self._runtime.loop is not None and self._runtime.loop.is_here():
            raise RuntimeError("in an `async def` task it is `async with current.transaction()`")
        if self._sync is None:
            self._sync = self._runtime.effects_connection()
        return self._sync

    async def begin_async(self) -> AsyncConnection:
        """Return an async connection, in a transaction. Raises OperationalError."""
        if self._async is None:
            if self._runtime.loop is not None:
                await self._runtime.loop.transactions.acquire()
                self._borrowed = self._runtime.loop.transactions
            url, name = self._runtime.database_url, f"effects {self._lease.id}"
            opened = await connect(url, name=name, ring=self._runtime.ring)
            await opened.set_autocommit(False)
            self._async = opened
        return self._async

    def finish(self, result: str) -> bool:
        """Store the result and commit everything; return False when the lease was gone.

        Raises OperationalError when it is not known whether the commit was heard.
        """
        connection = self.begin()
        with connection.cursor() as cursor:
            stored = attempts.finish(cursor, self._lease, result)
        if stored:
            connection.commit()
            self._sync = None
        return stored

    async def finish_async(self, result: str) -> bool:
        """Do as `finish` does, on the async connection."""
        connection = await self.begin_async()
        stored = await attempts.finish_async(connection, self._lease, result)
        if stored:
            await connection.commit()
        return stored

    def undo(self) -> None:
        """Take back what was not committed."""
        connection, self._sync = self._sync, None
        if connection is not None and not connection.closed:
            connection.rollback()

    async def undo_async(self) -> None:
        """Take back what was not committed on the async connection, and close it."""
        connection, self._async = self._async, None
        try:
            if connection is not None:
                await PsycopgAsync.close(connection)
        finally:
            borrowed, self._borrowed = self._borrowed, None
            if borrowed is not None:
                borrowed.release()


class Transaction:
    """`with` in a function, `async with` in an `async def`; both give the connection.

    Leaving the block commits nothing: the commit comes with the result, when the task returns. An
    error that leaves the block takes back everything at once.
    """

    def __init__(self, effects: Effects) -> None:
        self._effects = effects

    def __enter__(self) -> Connection:
        return self._effects.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._effects.undo()

    async def __aenter__(self) -> AsyncConnection:
        return await self._effects.begin_async()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            await self._effects.undo_async()
