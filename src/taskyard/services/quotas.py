"""Quotas: what a tenant submits is taken from its bucket, many tasks at once.

Each API process draws a few tasks ahead and spends them without asking. So a submission costs no
round trip of its own, and the bounds of all processes together hold up to what each has drawn.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from taskyard.core.errors import (
    BacklogFull,
    Limited,
    QuotaExceeded,
    RateLimited,
    StorageUnavailable,
)
from taskyard.core.limits import Rate
from taskyard.core.principal import TenantId
from taskyard.core.quotas import Quota, quota_of, remaining
from taskyard.stopping import end
from taskyard.storage import quotas as quotas_table
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

_LOOK_EVERY = 1.0  # seconds; for limits that were changed
_FRESH_FOR = 1.0  # seconds; what was drawn and not used by then is given up
_UNLIMITED = Quota()


@dataclass(slots=True)
class _Allowance:
    """What this process may still submit for one tenant."""

    tasks: int = 0
    fresh_until: float = 0.0
    spent: int = 0  # bytes since the last draw
    tokens: float = 0.0  # left in the bucket at the last draw
    seen_at: float = 0.0
    refusal: Limited | None = None
    refused_until: float = 0.0
    drawing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def available(self, now: float) -> int:
        return self.tasks if now < self.fresh_until else 0


@dataclass(frozen=True, slots=True)
class Admission:
    """How many of those that ask are let in, the first ones first, and why not the others."""

    granted: int
    refusal: Limited | BacklogFull | None = None


@dataclass(frozen=True, slots=True)
class RateState:
    """Where a tenant stands: its rate, the tasks left, the seconds until its bucket is full."""

    rate: Rate
    left: int
    full_in: int


class Quotas:
    """Admits submissions, each tenant within its bounds."""

    def __init__(self, pool: Pool, default: Quota) -> None:
        self._pool = pool
        self._default = default
        self._own: Mapping[TenantId, Quota] = {}
        self._allowances: dict[TenantId, _Allowance] = {}

    def of(self, tenant: TenantId) -> Quota:
        """Return the bounds of a tenant, as they were last read."""
        return self._own.get(tenant, self._default)

    async def admit(self, tenant: TenantId, sizes: Sequence[int]) -> Admission:
        """Take tasks of so many bytes from a tenant's allowance, as many as there are.

        Raises StorageUnavailable when more must be drawn and the database is away.
        """
        quota = self.of(tenant)
        if quota.is_unlimited:
            return Admission(len(sizes))
        allowance = self._allowances.setdefault(tenant, _Allowance())
        if allowance.available(time.monotonic()) < len(sizes):
            await self._draw(tenant, quota, allowance, len(sizes))
        granted = min(len(sizes), allowance.available(time.monotonic()))
        allowance.tasks -= granted
        allowance.spent += sum(sizes[:granted])
        if granted == len(sizes):
            return Admission(granted)
        return Admission(granted, allowance.refusal or _nothing_left(tenant))

    async def _draw(
        self, tenant: TenantId, quota: Quota, allowance: _Allowance, wanted: int
    ) -> None:
        async with allowance.drawing:
            now = time.monotonic()
            missing = wanted - allowance.available(now)
            if missing <= 0 or now < allowance.refused_until:
                return
            spent, allowance.spent = allowance.spent, 0
            async with borrowed(self._pool) as connection:
                drawn = await quotas_table.draw(
                    connection, tenant, quota, wanted=max(missing, quota.draw), spent=spent
                )
            now = time.monotonic()
            allowance.tasks = allowance.available(now) + drawn.granted
            allowance.fresh_until = now + _FRESH_FOR
            allowance.tokens, allowance.seen_at = drawn.tokens or 0.0, now
            if drawn.granted < missing:
                why, wait = drawn.why_no_more(quota)
                kind = RateLimited if why.startswith("it may") else QuotaExceeded
                allowance.refusal = kind(f"tenant {tenant!r}: {why}", retry_after=wait)
                allowance.refused_until = now + min(wait, _LOOK_EVERY)

    def give_back(self, tenant: TenantId, count: int) -> None:
        """Return what was taken for tasks that had been submitted before."""
        if (allowance := self._allowances.get(tenant)) is not None:
            allowance.tasks += count

    def state(self, tenant: TenantId) -> RateState | None:
        """Return where a tenant stands, as far as this process knows; None without a rate."""
        rate = self.of(tenant).rate
        allowance = self._allowances.get(tenant)
        if rate is None or allowance is None:
            return None
        now = time.monotonic()
        tokens = allowance.tokens + allowance.available(now)
        left, full_in = remaining(rate, tokens, now - allowance.seen_at)
        return RateState(rate, left, full_in)

    async def refresh(self) -> None:
        """Read which tenants have limits of their own. Raises StorageUnavailable."""
        async with borrowed(self._pool) as connection:
            found = await quotas_table.own_limits(connection)
        own = {}
        for tenant, written in found.items():
            try:
                own[tenant] = quota_of(written, self._default)
            except ValueError as error:
                log.error("limits of a tenant cannot be read", tenant=tenant, error=str(error))
        self._own = own

    async def watch(self) -> None:
        """Refresh again and again. Never returns."""
        while True:
            with contextlib.suppress(StorageUnavailable):  # then nothing is accepted anyway
                await self.refresh()
            await asyncio.sleep(_LOOK_EVERY)


def _nothing_left(tenant: TenantId) -> Limited:
    return RateLimited(f"tenant {tenant!r}: nothing is left of its allowance", retry_after=1)


@asynccontextmanager
async def open_quotas(pool: Pool, default: Quota) -> AsyncIterator[Quotas]:
    """Open the quotas, with the limits of tenants read if the database answers."""
    quotas = Quotas(pool, default)
    with contextlib.suppress(StorageUnavailable):
        await quotas.refresh()
    watching = asyncio.create_task(quotas.watch(), name="quotas")
    try:
        yield quotas
    finally:
        await end(watching)
