"""What clients do to pools and workers, beside looking at them."""

from abc import ABC, abstractmethod
from typing import TypeVar

from taskyard.client import pool_operations as operations
from taskyard.client.exchange import Call
from taskyard.client.yard_documents import PoolWhole, Worker

T = TypeVar("T")


class PoolCalls(ABC):
    """Pause and resume pools, drain workers."""

    @abstractmethod
    def _ask(self, call: Call[T]) -> T: ...

    def pause_pool(self, name: str, *, reason: str | None = None) -> PoolWhole:
        """Pause a pool: nothing of it is begun until it is resumed; what runs goes on."""
        return self._ask(operations.pause(name, reason))

    def resume_pool(self, name: str) -> PoolWhole:
        """Resume a pool."""
        return self._ask(operations.resume(name))

    def drain_worker(self, name: str) -> Worker:
        """Drain a worker: it ends what it runs and leaves; `pool` names the workers."""
        return self._ask(operations.drain(name))


class AsyncPoolCalls(ABC):
    """Pause and resume pools, drain workers."""

    @abstractmethod
    async def _ask(self, call: Call[T]) -> T: ...

    async def pause_pool(self, name: str, *, reason: str | None = None) -> PoolWhole:
        """Pause a pool: nothing of it is begun until it is resumed; what runs goes on."""
        return await self._ask(operations.pause(name, reason))

    async def resume_pool(self, name: str) -> PoolWhole:
        """Resume a pool."""
        return await self._ask(operations.resume(name))

    async def drain_worker(self, name: str) -> Worker:
        """Drain a worker: it ends what it runs and leaves; `pool` names the workers."""
        return await self._ask(operations.drain(name))
