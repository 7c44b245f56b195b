"""Diagnosis of a yard: dispatchers, workers and queues, held against the routing table."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta

from taskyard.core.errors import UnknownTaskType
from taskyard.core.findings import Finding, fault, ok, warning
from taskyard.core.routing import RoutingTable
from taskyard.core.topics import is_literal, matches
from taskyard.core.units import show_duration

_DISPATCHER_GONE = 10.0  # seconds; it leaves a trace every one


def judge_dispatcher(ago: float | None) -> Finding:
    """Return whether a dispatcher left a trace lately; `ago` in seconds."""
    if ago is None or ago >= _DISPATCHER_GONE:
        seen = "never" if ago is None else f"{show_duration(timedelta(seconds=round(ago)))} ago"
        return fault("dispatcher", f"none runs: seen {seen}", "start `taskyard dispatcher`")
    return ok("dispatcher", "runs")


def judge_routes(table: RoutingTable, announced: Mapping[str, str]) -> Iterator[Finding]:
    """Yield where workers and the routing table disagree; `announced` maps types to pools."""
    at_odds = False
    for name, pool in announced.items():
        try:
            routed = table.resolve(name).pool.name
        except UnknownTaskType:
            continue  # no worker is asked for it any more
        if routed != pool:
            at_odds = True
            found = f"{name!r} goes to the pool {routed!r}, but workers of {pool!r} announced it"
            yield warning("routes", found, "restart the workers of both with the same routing/")
    for each in table.pools.values():
        for pattern in each.tasks:
            if not _is_answered(pattern, announced):
                at_odds = True
                kind = "type" if is_literal(pattern) else "pattern"
                found = f"no worker has announced the {kind} {pattern!r} of the pool {each.name!r}"
                yield warning("routes", found, f"start `taskyard worker {each.name}`")
    if not at_odds:
        yield ok("routes", f"{len(announced)} task types are announced and routed")


def _is_answered(pattern: str, announced: Collection[str]) -> bool:
    return any(matches(pattern, name) for name in announced)


def judge_pool(
    name: str, *, consumers: int | None, waiting: int, is_paused: bool = False
) -> Finding:
    """Return whether somebody works for a pool; without its queue, `consumers` is None."""
    check = f"pool {name}"
    if consumers is None:
        return fault(check, "its queue is not in the broker", "run `taskyard topology apply`")
    found = f"{consumers} workers, {waiting} in the queue"
    if is_paused:
        return warning(check, f"is paused; {found}", f"`taskyard pools resume {name}` when done")
    if consumers:
        return ok(check, found)
    return (fault if waiting else warning)(check, found, f"start `taskyard worker {name}`")
