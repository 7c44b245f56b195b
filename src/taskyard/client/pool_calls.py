"""What clients do to pools and workers, beside looking at them."""

from abc import ABC, abstractmethod
from typing import TypeVar

from taskyard.client import pool_operations as operations
from taskyard.client.exchange import Call
from taskyard.client.yard_documents import Pool

T = TypeVar("T")


class PoolCalls(ABC):
    """Pause and resume pools."""

    @abstractmethod
    def _ask(self, call: Call[T]) -> T: ...

    def pause_pool(self, name: str, *, reason: str | None = None) -> Pool:
        """Pause a pool: nothing of it is begun until it is resumed; what runs goes on."""
        return self._ask(operations.pause(name, reason))

    def resume_pool(self, name: str) -> Pool:
        """Resume a pool."""
        return self._ask(operations.resume(name))


class AsyncPoolCalls(ABC):
    """Pause and resume pools."""

    @abstractmethod
    async def _ask(self, call: Call[T]) -> T: ...

    async def pause_pool(self, name: str, *, reason: str | None = None) -> Pool:
        """Pause a pool: nothing of it is begun until it is resumed; what runs goes on."""
        return await self._ask(operations.pause(name, reason))

    async def resume_pool(self, name: str) -> Pool:
        """Resume a pool."""
        return await self._ask(operations.resume(name))
