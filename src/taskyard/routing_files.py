"""Reading the routing folder: every fault of every file at once, each with its place."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from taskyard.core import topics, units
from taskyard.core.errors import Fault, InvalidRouting
from taskyard.core.retry import RetryPolicy
from taskyard.core.routing import Execution, Pool, QueueType, RoutingTable, TaskDefaults
from taskyard.core.routing_problems import problems
from taskyard.routing_entries import Reader, duration, integer, read_entry, text, yes_or_no
from taskyard.routing_entries import load_toml as _load
from taskyard.routing_events import read_events
from taskyard.routing_limits import QUOTA_KEYS, RATE, RESOURCE_KEYS, read_quota, read_resources

_POOL_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


def read_routing(folder: Path) -> RoutingTable:
    """Return the routing table of a folder: pools.toml, and what there is of the others.

    Raises InvalidRouting with every fault of all files.
    """
    faults: list[Fault] = []
    pools = _read_pools(_load(folder / "pools.toml", faults), faults)
    defaults = _read_defaults(_load(folder / "tasks.toml", faults, optional=True), faults)
    events = read_events(_load(folder / "events.toml", faults, optional=True), faults)
    resources = read_resources(_load(folder / "resources.toml", faults, optional=True), faults)
    quota = read_quota(_load(folder / "limits.toml", faults, optional=True), faults)
    table = RoutingTable(
        pools=pools, defaults=defaults, events=events, resources=resources, quota=quota
    )
    if not faults:
        faults += problems(table)
    if faults:
        raise InvalidRouting(f"the routing table in {folder} is at fault", faults=tuple(faults))
    return table


def read_rules(file: Path, table: RoutingTable) -> RoutingTable:
    """Return a routing table with the rules of a file for its own. Raises InvalidRouting."""
    faults: list[Fault] = []
    found = replace(table, events=read_events(_load(file, faults), faults))
    if not faults:
        faults += problems(found)
    if faults:
        raise InvalidRouting(f"the rules in {file} are at fault", faults=tuple(faults))
    return found


def _read_pools(file: dict[str, Any], faults: list[Fault]) -> dict[str, Pool]:
    pools = {}
    for name, entry in file.items():
        where = f"pools.toml [{name}]"
        if not _POOL_NAME.fullmatch(name):
            faults.append(
                Fault(where, "is no name for a pool: a letter, then letters, digits or - (a-z)")
            )
        values = read_entry(where, entry, _POOL, faults)
        missing = [
            key for key in ("tasks", "modules") if isinstance(entry, dict) and key not in entry
        ]
        faults += [Fault(f"{where} {key}", "is required") for key in missing]
        if {"tasks", "modules"} <= values.keys():
            pools[name] = Pool(name=name, **values)
    if file and not pools and not faults:
        faults.append(Fault("pools.toml", "names no pool"))
    return pools


def _read_defaults(file: dict[str, Any], faults: list[Fault]) -> dict[str, TaskDefaults]:
    defaults = {}
    for pattern, entry in file.items():
        where = f'tasks.toml ["{pattern}"]'
        if problem := topics.problem(pattern):
            faults.append(Fault(where, problem))
        read = TaskDefaults(**read_entry(where, entry, _TASK, faults))
        if read.at_most_once and "max_attempts" in entry.get("retry", {}):
            faults.append(
                Fault(f"{where} retry", "names max_attempts, but at_most_once allows only one")
            )
        defaults[pattern] = read
    return defaults


def _choice(kind: type[Execution] | type[QueueType]) -> Reader:
    def read(value: Any) -> Execution | QueueType:
        if value not in list(kind):
            raise ValueError(f"is {value!r}; it may be {' or '.join(kind)}")
        return kind(value)

    return read


def _strings(problem: Callable[[str], str | None]) -> Reader:
    def read(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise ValueError("must be a list of one or more strings")
        if faults := [f"{text!r} {why}" for text in value if (why := problem(text))]:
            raise ValueError("; ".join(faults))
        return tuple(value)

    return read


def _module_problem(text: str) -> str | None:
    return None if _MODULE.fullmatch(text) else "is not the name of a Python module"


def _exception_problem(text: str) -> str | None:
    return None if _MODULE.fullmatch(text) else "is not the name of an exception class"


_RETRY: Mapping[str, Reader] = {
    "max_attempts": integer(1, 1000),
    "base": duration,
    "cap": duration,
    "max_crashes": integer(1, 1000),
    "permanent": _strings(_exception_problem),
}


def _retry(value: Any) -> RetryPolicy:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as { max_attempts = 5, base = "2s", cap = "10m" }')
    faults: list[Fault] = []
    values = read_entry("", value, _RETRY, faults)
    if faults:
        raise ValueError("; ".join(str(fault).strip() for fault in faults))
    policy = RetryPolicy(**values)
    if policy.base > policy.cap:
        raise ValueError("has a base longer than its cap")
    return policy


_POOL: Mapping[str, Reader] = {
    "tasks": _strings(topics.problem),
    "modules": _strings(_module_problem),
    "execution": _choice(Execution),
    "concurrency": integer(1, 1024),
    "queue_type": _choice(QueueType),
    "prefetch": integer(1, 1000),
    "drain": duration,
    "window": integer(1, 20_000),
    "ageing": duration,
    "longest_wait": duration,
}

_TASK: Mapping[str, Reader] = {
    "priority": integer(0, 9),
    "timeout": duration,
    "deadline": duration,
    "cancel_grace": duration,
    "at_most_once": yes_or_no,
    "retry": _retry,
    "retention": duration,
    "max_args": text(units.size, '"256KiB"'),
    "concurrency": integer(1, 100_000),
    "rate": RATE,
    "resources": _strings(lambda _: None),
}

KEYS = {
    "pools.toml": tuple(_POOL),
    "tasks.toml": tuple(_TASK),
    "resources.toml": RESOURCE_KEYS,
    "limits.toml": QUOTA_KEYS,
}
