"""The bounds of the backlog as they stand: what waits in all pools, in each, and of each tenant."""

from collections import Counter
from dataclasses import replace

from taskyard.core.backlog import Bound, hard_end, most_within
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.services.place import pace_of
from taskyard.storage import run_times, tasks
from taskyard.storage.pool import AsyncConnection

NOWHERE = RoutingTable(pools={}, defaults={})
_COUNTED = 4  # times the bound of a pool, to tell how long the excess takes


class Counted:
    """How many tasks were let in, of each pool and tenant, and of both together."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str | None, TenantId | None]] = Counter()

    def add(self, pool: str, tenant: TenantId, count: int = 1) -> None:
        """Count so many more."""
        for key in ((pool, tenant), (pool, None), (None, tenant), (None, None)):
            self._counts[key] += count

    def of(self, pool: str | None = None, tenant: TenantId | None = None) -> int:
        """Return how many they are, of all pools or one, of all tenants or one."""
        return self._counts.get((pool, tenant), 0)


async def look_at(
    connection: AsyncConnection, table: RoutingTable, *, largest: int
) -> tuple[Bound, dict[str, Bound]]:
    """Return the bound of all together, and those of pools that are nearer than that."""
    waiting = await tasks.count_pending(connection, at_most=hard_end(largest))
    whole = Bound(waiting=waiting, most=largest)
    bounds = {}
    for name, bound in (await _of_pools(connection, table)).items():
        if bound.most < largest:
            at_most = _COUNTED * bound.most
            waiting = await tasks.count_pending(connection, at_most=at_most, pool=name)
            bounds[name] = await _with_holdings(
                connection, replace(bound, waiting=waiting), at_most=at_most, pool=name
            )
    return await _with_holdings(connection, whole, at_most=hard_end(largest)), bounds


async def _of_pools(connection: AsyncConnection, table: RoutingTable) -> dict[str, Bound]:
    """Return the bounds of the pools whose pace is known, before anything is counted."""
    measured = await run_times.paces(connection)
    bounds = {}
    for name, pool in table.pools.items():
        if name in measured and (pace := pace_of(pool, measured[name])) is not None:
            most = most_within(pool.longest_wait.total_seconds(), rate=pace.rate())
            bounds[name] = Bound(waiting=0, most=most, rate=pace.rate())
    return bounds


async def _with_holdings(
    connection: AsyncConnection, bound: Bound, *, at_most: int, pool: str | None = None
) -> Bound:
    """Return a bound with what each tenant holds, if that may matter before the next look."""
    if not bound.is_near:
        return bound
    holdings = await tasks.count_holdings(connection, at_most=at_most, pool=pool)
    return replace(bound, holdings=holdings)
