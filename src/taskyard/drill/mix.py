"""The mix of tasks that a drill submits, read from a TOML file.

["image.thumbnail"]
weight = 3                                # how often, against the others
args = { source = "inputs/photo.jpg" }
ends = ["succeeded"]                      # any end, if this is left out
transactional = false                     # writes to drill_effects in its finishing transaction
"""

import random
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from taskyard.core.errors import Fault, Misconfigured
from taskyard.core.routing import RoutingTable
from taskyard.core.states import TERMINAL, State


class Portion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One task type of the mix."""

    weight: float = 1
    args: dict[str, Any] = msgspec.field(default_factory=dict)
    ends: list[State] = msgspec.field(default_factory=list)
    transactional: bool = False
    options: dict[str, Any] = msgspec.field(default_factory=dict)  # of the submission


@dataclass(frozen=True, slots=True)
class Mix:
    """Task types and how often each is submitted."""

    portions: Mapping[str, Portion] = field(default_factory=dict)

    def choose(self, chance: random.Random) -> tuple[str, Portion]:
        """Draw one, by weight."""
        types = list(self.portions)
        weights = [portion.weight for portion in self.portions.values()]
        (drawn,) = chance.choices(types, weights)
        return drawn, self.portions[drawn]

    @property
    def ends(self) -> dict[str, frozenset[State]]:
        """The states in which tasks may end, for the types that name them."""
        return {name: frozenset(p.ends) for name, p in self.portions.items() if p.ends}

    @property
    def transactional(self) -> frozenset[str]:
        """The types with a transactional effect."""
        return frozenset(name for name, p in self.portions.items() if p.transactional)


def read_mix(path: Path, table: RoutingTable) -> Mix:
    """Read a mix. Raises Misconfigured with every fault."""
    try:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(
            f"a drill needs {path}, which says what to submit; for each task type an entry such as "
            '["image.thumbnail"] with weight = 1 and args = {…}'
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None
    portions, faults = {}, []
    for name, entry in file.items():
        try:
            portion = msgspec.convert(entry, Portion)
        except msgspec.ValidationError as error:
            faults.append(Fault(name, str(error)))
            continue
        faults += [Fault(name, problem) for problem in _problems(name, portion, table)]
        portions[name] = portion
    if not file:
        faults.append(Fault(path.name, "names no task type"))
    if faults:
        raise Misconfigured(f"the mix {path} is at fault", faults=tuple(faults))
    return Mix(portions)


def _problems(name: str, portion: Portion, table: RoutingTable) -> list[str]:
    found = []
    if not any(table.pools_for(name)):
        found.append("is routed to no pool")
    if portion.weight <= 0:
        found.append("has a weight that is not above 0")
    if odd := set(portion.ends) - TERMINAL:
        found.append(f"cannot end as {', '.join(sorted(odd))}")
    return found
