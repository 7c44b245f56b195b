"""Entry: whether tasks are let in that no submission makes, but a replay or an event."""

from collections.abc import Sequence

from taskyard.core.backlog import Demand
from taskyard.core.errors import BacklogFull
from taskyard.core.principal import TenantId
from taskyard.core.task import NewTask
from taskyard.services.backlog import Backlog
from taskyard.services.quotas import Admission, Quotas
from taskyard.services.reservations import Reservations
from taskyard.storage.pool import Pool

Group = Sequence[Demand]


class Entry:
    """Lets in what the backlog has room for, and the tenant's quotas."""

    def __init__(self, pool: Pool, *, backlog: Backlog, quotas: Quotas) -> None:
        self._backlog = backlog
        self._reservations = Reservations(pool, quotas)

    async def let_in(self, tenant: TenantId, groups: Sequence[Group]) -> Admission:
        """Let in groups of tasks, the first ones first; return how many, and why not the others.

        What is in a group comes in together. Raises StorageUnavailable.
        """
        admitted, refusal = self._admitted(groups, tenant)
        return await self._reserved(tenant, groups[:admitted], refusal)

    async def require(self, tenant: TenantId, groups: Sequence[Group]) -> None:
        """Let in all. Raises BacklogFull, QuotaExceeded and StorageUnavailable: then none is."""
        admitted, refusal = self._admitted(groups, tenant)
        if refusal:
            self._backlog.leave(groups[:admitted], tenant)
            raise refusal
        admission = await self._reserved(tenant, groups, None, whole=True)
        if admission.refusal:
            raise admission.refusal

    def _admitted(
        self, groups: Sequence[Group], tenant: TenantId
    ) -> tuple[int, BacklogFull | None]:
        for index, group in enumerate(groups):
            try:
                self._backlog.admit_group(group, tenant)
            except BacklogFull as error:
                return index, error
        return len(groups), None

    async def _reserved(
        self,
        tenant: TenantId,
        groups: Sequence[Group],
        refusal: BacklogFull | None,
        *,
        whole: bool = False,
    ) -> Admission:
        sizes = [[each.size for each in group] for group in groups]
        granted = 0
        try:
            admission = await self._reservations.take(tenant, sizes, whole=whole)
            granted = 0 if whole and admission.refusal else admission.granted
        finally:
            self._backlog.leave(groups[granted:], tenant)
        return Admission(granted, admission.refusal or refusal)


def demand(task: NewTask) -> Demand:
    """Return what a new task asks for."""
    return Demand(pool=task.pool, priority=task.priority, size=len(task.args))
