"""What is wrong with a routing table as a whole, though each entry by itself is sound."""

from collections.abc import Iterator

from taskyard.core import topics
from taskyard.core.errors import Fault
from taskyard.core.routing import RoutingTable


def problems(table: RoutingTable) -> tuple[Fault, ...]:
    """Return what is wrong, in the order of the files."""
    return (
        *_shared_patterns(table),
        *_orphaned_defaults(table),
        *_orphaned_rules(table),
        *_unknown_resources(table),
    )


def _shared_patterns(table: RoutingTable) -> Iterator[Fault]:
    """A task type that reaches two queues would be woken in both: each type has one pool."""
    pools = list(table.pools.values())
    for i, pool in enumerate(pools):
        for other in pools[i + 1 :]:
            for mine in pool.tasks:
                for theirs in other.tasks:
                    if (shared := topics.common_key(mine, theirs)) is not None:
                        yield Fault(
                            f"pools.toml [{other.name}] tasks",
                            f"{theirs!r} and {mine!r} of pool {pool.name!r} both match the task "
                            f"type {shared!r}; a task type must reach exactly one pool",
                        )


def _orphaned_defaults(table: RoutingTable) -> Iterator[Fault]:
    """An entry that no pool can run is most likely misspelt."""
    for pattern in table.defaults:
        reachable = any(
            topics.common_key(pattern, bound) is not None
            for pool in table.pools.values()
            for bound in pool.tasks
        )
        if not reachable:
            yield Fault(f"tasks.toml [{pattern!r}]", "no pool's pattern matches this task type")


def _orphaned_rules(table: RoutingTable) -> Iterator[Fault]:
    """A rule whose task no pool runs would park every event it matches."""
    for rule in table.events.rules:
        if not any(table.pools_for(rule.task)):
            where = f"events.toml [[rule]] {rule.name!r} task"
            yield Fault(where, f"no pool runs the task type {rule.task!r}")


def _unknown_resources(table: RoutingTable) -> Iterator[Fault]:
    """A budget that is named but not there would bound nothing."""
    known = ", ".join(table.resources) or "none"
    for pattern, defaults in table.defaults.items():
        for name in defaults.resources:
            if name not in table.resources:
                where = f"tasks.toml [{pattern!r}] resources"
                yield Fault(where, f"resources.toml has no {name!r}; there are {known}")
