"""Which changes a reader of the stream wants."""

from dataclasses import dataclass

from taskyard.core import topics
from taskyard.core.principal import Owner
from taskyard.core.states import State
from taskyard.storage.changes import Change


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which changes a reader wants: any of each kind that is given, and all of the labels.

    Only the owner's, whatever is asked for.
    """

    owner: Owner
    types: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    def includes(self, change: Change) -> bool:
        """Return whether a change is wanted."""
        return (
            self.owner.owns(change.tenant, change.type)
            and (not self.states or change.state in self.states)
            and (not self.pools or change.pool in self.pools)
            and (not self.types or any(topics.matches(p, change.type) for p in self.types))
            and all(change.labels.get(key) == value for key, value in self.labels)
        )
