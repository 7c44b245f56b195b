"""`client.many`: what is done to many tasks at once."""

from typing import Unpack

from taskyard.client import many_operations as operations
from taskyard.client.exchange import Ask, AsyncAsk
from taskyard.client.many_documents import ManyCancelled, ManyReplayed, ManyReprioritised
from taskyard.client.many_operations import ManyOptions, TaskFilters
from taskyard.client.operations import ReplayOptions


class Many:
    """Many tasks of one server, as a filter finds them."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def cancel(self, which: TaskFilters, **options: Unpack[ManyOptions]) -> ManyCancelled:
        """Cancel what fits and has not ended; with `dry_run` only count it."""
        return self._ask(operations.cancel(which, options))

    def reprioritise(
        self, which: TaskFilters, priority: int, **options: Unpack[ManyOptions]
    ) -> ManyReprioritised:
        """Give what fits and waits another priority; with `dry_run` only count it."""
        return self._ask(operations.reprioritise(which, priority, options))

    def replay(self, which: TaskFilters, **options: Unpack[ReplayOptions]) -> ManyReplayed:
        """Replay what fits and ended badly; with `dry_run` only tell what would become of it."""
        return self._ask(operations.replay(which, options))


class AsyncMany:
    """Many tasks of one server, as a filter finds them."""

    def __init__(self, ask: AsyncAsk) -> None:
        self._ask = ask

    async def cancel(self, which: TaskFilters, **options: Unpack[ManyOptions]) -> ManyCancelled:
        """Cancel what fits and has not ended; with `dry_run` only count it."""
        return await self._ask(operations.cancel(which, options))

    async def reprioritise(
        self, which: TaskFilters, priority: int, **options: Unpack[ManyOptions]
    ) -> ManyReprioritised:
        """Give what fits and waits another priority; with `dry_run` only count it."""
        return await self._ask(operations.reprioritise(which, priority, options))

    async def replay(self, which: TaskFilters, **options: Unpack[ReplayOptions]) -> ManyReplayed:
        """Replay what fits and ended badly; with `dry_run` only tell what would become of it."""
        return await self._ask(operations.replay(which, options))
