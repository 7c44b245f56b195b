"""What a fault is."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from taskyard.drill.arena import Arena

Strike = Callable[[Arena, random.Random], Awaitable[str]]
Heal = Callable[[Arena], Awaitable[None]]


async def heals_by_itself(_arena: Arena) -> None:
    """Nothing has to be undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A way to do harm: `strike` returns what it hit, in words; `heal` is called after `lasts`."""

    name: str
    strike: Strike
    lasts: float = 0.5  # seconds
    heal: Heal = heals_by_itself
