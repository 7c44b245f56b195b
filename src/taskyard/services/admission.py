"""Admission: whether a submission is let in, before anything is stored."""

from collections.abc import Sequence
from datetime import UTC, datetime

from taskyard.core.errors import BacklogFull, NotFeasible, StorageUnavailable, TaskyardError
from taskyard.core.routing import RoutingTable
from taskyard.core.task import NewTask
from taskyard.services.backlog import Backlog
from taskyard.services.feasible import require_feasible
from taskyard.storage.pool import Pool


class Admission:
    """Lets in what the backlog has room for, and what can be done by its date."""

    def __init__(self, pool: Pool, *, backlog: Backlog, table: RoutingTable) -> None:
        self._pool = pool
        self.backlog = backlog
        self._table = table

    async def let_in(self, task: NewTask) -> NewTask:
        """Return a task as it is to be stored.

        Raises BacklogFull, NotFeasible and StorageUnavailable.
        """
        self.backlog.admit(task.pool, task.priority, task.tenant)
        if task.finish_by is None:
            return task
        return await require_feasible(self._pool, task, table=self._table, now=datetime.now(UTC))

    async def let_in_many(self, tasks: Sequence[NewTask]) -> list[NewTask | TaskyardError]:
        """Return each task as it is to be stored, or why it is not.

        Raises BacklogFull when there is room for none of them.
        """
        found: list[NewTask | TaskyardError] = []
        for task in tasks:
            try:
                found.append(await self.let_in(task))
            except (BacklogFull, NotFeasible, StorageUnavailable) as error:
                found.append(error)
        refused = [each for each in found if isinstance(each, BacklogFull)]
        if found and len(refused) == len(found):
            raise refused[0]
        return found
