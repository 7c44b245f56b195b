"""Explain: why a task of some type would go where."""

from dataclasses import dataclass

from taskyard.core.routing import Route, RoutingTable
from taskyard.core.topics import matches


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """The route, every pattern that was looked at, and one sentence."""

    route: Route
    candidates: tuple[tuple[str, str, bool], ...]  # pool, pattern, whether it matches
    why: str


def explain(table: RoutingTable, task_type: str) -> Explanation:
    """Return where a task type goes and why. Raises UnknownTaskType when nowhere."""
    candidates = tuple(
        (pool.name, pattern, matches(pattern, task_type))
        for pool in table.pools.values()
        for pattern in pool.tasks
    )
    route = table.resolve(task_type)
    return Explanation(
        route=route,
        candidates=candidates,
        why=f"{task_type!r} matches {route.pattern!r} of pool {route.pool.name!r}",
    )
