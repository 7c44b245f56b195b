"""Reservations: room below a tenant's quotas for tasks that no submission makes."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from taskyard.core.errors import QuotaExceeded
from taskyard.core.principal import TenantId
from taskyard.core.quotas import Drawn, Quota
from taskyard.services.quotas import Admission, Quotas
from taskyard.storage import quotas as quotas_table
from taskyard.storage.pool import Pool, borrowed

_ASK_AGAIN_AFTER = 1.0  # seconds: what the tenant holds is counted as often


@dataclass(frozen=True, slots=True)
class _Refused:
    """Who asks for no less meanwhile need not ask the database."""

    at_least: int
    until: float
    error: QuotaExceeded


class Reservations:
    """Takes room in Postgres for what is just about to be stored; nothing is drawn ahead."""

    def __init__(self, pool: Pool, quotas: Quotas) -> None:
        self._pool = pool
        self._quotas = quotas
        self._refused: dict[TenantId, _Refused] = {}

    async def take(
        self, tenant: TenantId, groups: Sequence[Sequence[int]], *, whole: bool
    ) -> Admission:
        """Take room for groups of tasks of so many bytes, the first ones first; return how many.

        A group comes in together; with `whole` all of them do, or none. Raises StorageUnavailable.
        """
        quota = self._quotas.of(tenant)
        costs = [quota.cost(len(group)) for group in groups]
        if not quota.bounds_tasks or not any(costs):
            return Admission(len(groups))
        at_least = sum(costs) if whole else next(cost for cost in costs if cost)
        refused = self._refused.get(tenant)
        if refused and at_least >= refused.at_least and time.monotonic() < refused.until:
            return Admission(_within(costs, 0), refused.error)
        async with borrowed(self._pool) as connection:
            drawn = await quotas_table.reserve(
                connection, tenant, quota, wanted=sum(costs), at_least=at_least,
                size=sum(map(sum, groups)),
            )  # fmt: skip
        granted = _within(costs, drawn.granted)
        if granted == len(groups):
            return Admission(granted)
        asked = at_least if whole else costs[granted]
        return Admission(granted, self._refuse(tenant, quota, drawn, asked))

    def _refuse(self, tenant: TenantId, quota: Quota, drawn: Drawn, asked: int) -> QuotaExceeded:
        why, wait = drawn.why_no_more(quota, asked=asked)
        error = QuotaExceeded(f"tenant {tenant!r}: {why}", retry_after=wait)
        until = time.monotonic() + min(wait, _ASK_AGAIN_AFTER)
        self._refused[tenant] = _Refused(asked, until, error)
        return error


def _within(costs: Sequence[int], room: int) -> int:
    """Return how many of the first groups have room."""
    for index, cost in enumerate(costs):
        room -= cost
        if room < 0:
            return index
    return len(costs)
