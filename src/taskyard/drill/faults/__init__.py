"""Faults: small objects that strike and heal. `FAULTS` names them all."""

import random
from collections.abc import Sequence

from taskyard.drill.faults import broker, database, network, processes
from taskyard.drill.faults.fault import Fault

FAULTS: tuple[Fault, ...] = (*processes.FAULTS, *broker.FAULTS, *database.FAULTS, *network.FAULTS)

NAMES = tuple(each.name for each in FAULTS)

__all__ = ["FAULTS", "NAMES", "Fault", "draw", "named"]


def draw(
    count: int,
    chance: random.Random,
    *,
    only: Sequence[str] = (),
    longest: float | None = None,
) -> list[Fault]:
    """Return so many faults in a random order; none comes again before all others have come.

    `only` names those that are wanted; `longest` leaves out what lasts longer, in seconds.
    """
    pool = [
        each
        for each in FAULTS
        if (not only or each.name in only) and (longest is None or each.lasts <= longest)
    ]
    drawn: list[Fault] = []
    while pool and len(drawn) < count:
        drawn += chance.sample(pool, len(pool))
    return drawn[:count]


def named(names: Sequence[str]) -> list[Fault]:
    """Return the faults of these names, in this order. Raises KeyError."""
    known = {each.name: each for each in FAULTS}
    return [known[name] for name in names]
