"""Release: who waits for a limit goes on as soon as there is room, the most urgent first."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import structlog

from taskyard.core.limits import Limit, opens_in, room
from taskyard.core.line import Waiter, allot, in_turn
from taskyard.core.routing import RoutingTable
from taskyard.core.routing_limits import limits_for
from taskyard.storage import limits
from taskyard.storage.limits import Survey
from taskyard.storage.pool import AsyncConnection, Pool, borrowed

log = structlog.get_logger(__name__)

_HOLD = 10.0  # seconds that room is kept for a task on its way to a worker


@dataclass(frozen=True, slots=True)
class Released:
    """What a pass did: how many may go on, and in how many seconds more will open by itself."""

    count: int
    next_in: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceStatus:
    """One resource: its whole budget, what of it may be used now, and how it stands."""

    name: str
    budget: Limit
    allowed: Limit
    survey: Survey


async def release_waiting(pool: Pool, table: RoutingTable) -> Released:
    """Release those for whom there is room. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        waiters, _ = await limits.waiters(connection)
        if not waiters:
            return Released(0, None)
        types = {each.type for each in waiters}
        bounds = {each.name: each for type_ in types for each in limits_for(table, type_)}
        async with connection.transaction():
            return await _release(connection, table, bounds)


async def _release(
    connection: AsyncConnection, table: RoutingTable, bounds: Mapping[str, Limit]
) -> Released:
    names = sorted(bounds)
    standings = await limits.lock_async(connection, names)
    allowed = {name: bounds[name].shrunk(standings[name].share_now) for name in names}
    found = await limits.usage_async(connection, [*allowed.values()], standings)
    rooms = {name: room(allowed[name], found[name].usage) for name in names}
    # Once more, now that nobody else releases: some may have gone meanwhile.
    waiters, turns = await limits.waiters(connection)
    given = allot(
        in_turn(waiters, turns), turns=turns, limits_of=partial(limits_for, table), rooms=rooms
    )
    if given.moved:
        reasons = [f"waits for {name}" for name in given.moved.values()]
        await limits.move(connection, given.moved, reasons)
    if given.released:
        held = {each.id: _names(table, each) for each in given.released}
        await limits.release(connection, held, hold=_HOLD)
        await limits.keep_turns(connection, given)
    opening = [opens_in(allowed[name], found[name].usage) for name in names if not rooms[name]]
    return Released(len(given.released), min(filter(None, opening), default=None))


def _names(table: RoutingTable, waiter: Waiter) -> list[str]:
    return [limit.name for limit in limits_for(table, waiter.type)]


async def forget_reservations(pool: Pool) -> None:
    """Remove reservations that nobody used."""
    async with borrowed(pool) as connection:
        await limits.forget_reservations(connection)


async def survey_resources(pool: Pool, table: RoutingTable) -> list[ResourceStatus]:
    """Return every resource as it stands. Raises StorageUnavailable."""
    async with borrowed(pool) as connection:
        found = await limits.survey(connection, list(table.resources.values()))
    statuses = []
    for name, budget in table.resources.items():
        survey = found.get(budget.name, Survey())
        allowed = budget.shrunk(survey.standing.share_now)
        statuses.append(ResourceStatus(name=name, budget=budget, allowed=allowed, survey=survey))
    return statuses
