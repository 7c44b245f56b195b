"""Which limits bound the starts of a task type."""

from functools import lru_cache

from taskyard.core.limits import Limit
from taskyard.core.routing import RoutingTable


@lru_cache(maxsize=4096)
def limits_for(table: RoutingTable, task_type: str) -> tuple[Limit, ...]:
    """Return a task type's own limit and those of its resources, in the order of their locks."""
    defaults = table.defaults_for(task_type)
    found = [table.resources[name] for name in defaults.resources]
    if defaults.concurrency is not None or defaults.rate is not None:
        name, rate = f"task:{task_type}", defaults.rate
        found.append(Limit(name=name, concurrency=defaults.concurrency, rate=rate))
    return tuple(sorted(found, key=lambda limit: limit.name))


def has_limits(table: RoutingTable) -> bool:
    """Return whether any task type is bound by a limit."""
    return any(
        defaults.concurrency or defaults.rate or defaults.resources
        for defaults in table.defaults.values()
    )
