"""The line of a limit: who goes next, and with how much room."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from taskyard.core.limits import Limit
from taskyard.core.principal import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """A task that waits in the line of a limit."""

    id: UUID
    type: str
    tenant: TenantId
    priority: int
    waits_for: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What a tenant has had of a line, in virtual time: one release costs 1 / `weight`.

    `now` is the virtual time of the line, that of its latest release: who did not wait has not
    saved anything up. Source: Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996.
    """

    spent: float
    weight: float
    now: float


@dataclass(frozen=True, slots=True)
class Allotment:
    """Which waiters may start now, and which must wait for another limit than they did.

    `spent` is what each tenant will have had of each line, and `now` the virtual time of the line.
    """

    released: tuple[Waiter, ...]
    moved: Mapping[UUID, str]
    spent: Mapping[tuple[str, TenantId], float]
    now: Mapping[str, float]


def in_turn(
    waiters: Sequence[Waiter], turns: Mapping[tuple[str, TenantId], Turn]
) -> list[tuple[float, Waiter]]:
    """Return who waits in the order in which they go, each with the virtual time of its turn.

    The most urgent first, then fairly by the tenants' weights, then the oldest. `waiters` come in
    the order of urgency and age.
    """
    tags: dict[tuple[str, TenantId], float] = {}
    ordered = []
    for number, waiter in enumerate(waiters):
        whose = (waiter.waits_for, waiter.tenant)
        turn = turns[whose]
        tag = tags.get(whose, max(turn.now, turn.spent))
        tags[whose] = tag + 1 / turn.weight
        ordered.append((-waiter.priority, tag, number, waiter))
    return [(tag, waiter) for _, tag, _, waiter in sorted(ordered, key=lambda each: each[:3])]


def allot(
    ordered: Sequence[tuple[float, Waiter]],
    *,
    turns: Mapping[tuple[str, TenantId], Turn],
    limits_of: Callable[[str], Sequence[Limit]],
    rooms: Mapping[str, int],
) -> Allotment:
    """Give the room there is to those who wait, the first of them first.

    A waiter gets room in all limits of its type or in none; a limit that `rooms` lacks has none.
    """
    left, released, moved = dict(rooms), [], {}
    spent: dict[tuple[str, TenantId], float] = {}
    now: dict[str, float] = {}
    for tag, waiter in ordered:
        line, whose = waiter.waits_for, (waiter.waits_for, waiter.tenant)
        names = [limit.name for limit in limits_of(waiter.type)]
        full = [name for name in names if left.get(name, 0) < 1]
        if not full:
            released.append(waiter)
            left.update({name: left[name] - 1 for name in names})
            spent[whose] = max(spent.get(whose, 0.0), tag) + 1 / turns[whose].weight
            now[line] = max(now.get(line, turns[whose].now), tag)
        elif line not in full:
            moved[waiter.id] = full[0]
    return Allotment(tuple(released), moved, spent, now)
