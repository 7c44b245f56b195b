"""Reading the routing folder: every fault of every file at once, each with its place."""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taskyard.core import topics, units
from taskyard.core.errors import Fault, InvalidRouting
from taskyard.core.retry import RetryPolicy
from taskyard.core.routing import Execution, Pool, QueueType, RoutingTable, TaskDefaults

_POOL_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)

Reader = Callable[[Any], Any]


def read_routing(folder: Path) -> RoutingTable:
    """Return the routing table of a folder: pools.toml, and tasks.toml if there is one.

    Raises InvalidRouting with every fault of both files.
    """
    faults: list[Fault] = []
    pools = _read_pools(_load(folder / "pools.toml", faults), faults)
    defaults = _read_defaults(_load(folder / "tasks.toml", faults, optional=True), faults)
    table = RoutingTable(pools=pools, defaults=defaults)
    if not faults:
        faults += table.problems()
    if faults:
        raise InvalidRouting(f"the routing table in {folder} is at fault", faults=tuple(faults))
    return table


def _load(path: Path, faults: list[Fault], *, optional: bool = False) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not optional:
            faults.append(Fault(path.name, f"is missing in {path.parent}; it names the pools"))
    except OSError as error:
        faults.append(Fault(path.name, f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append(Fault(path.name, "is not UTF-8"))
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(path.name, f"is not TOML: {error}"))
    return {}


def _read_pools(file: dict[str, Any], faults: list[Fault]) -> dict[str, Pool]:
    pools = {}
    for name, entry in file.items():
        where = f"pools.toml [{name}]"
        if not _POOL_NAME.fullmatch(name):
            faults.append(
                Fault(where, "is no name for a pool: a letter, then letters, digits or - (a-z)")
            )
        values = _read_entry(where, entry, _POOL, faults)
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
        read = TaskDefaults(**_read_entry(where, entry, _TASK, faults))
        if read.at_most_once and "max_attempts" in entry.get("retry", {}):
            faults.append(
                Fault(f"{where} retry", "names max_attempts, but at_most_once allows only one")
            )
        defaults[pattern] = read
    return defaults


def _read_entry(
    where: str, entry: Any, readers: Mapping[str, Reader], faults: list[Fault]
) -> dict[str, Any]:
    """Return what could be read of a table; what could not is added to the faults."""
    if not isinstance(entry, dict):
        faults.append(Fault(where, "must be a table; write its keys below a [header]"))
        return {}
    values = {}
    for key, value in entry.items():
        if key not in readers:
            close = difflib.get_close_matches(key, readers, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(readers)}"
            faults.append(Fault(f"{where} {key}", f"is not a known key; {hint}"))
            continue
        try:
            values[key] = readers[key](value)
        except ValueError as error:
            faults.append(Fault(f"{where} {key}", str(error)))
    return values


def _integer(low: int, high: int) -> Reader:
    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is {value!r}, not a whole number from {low} to {high}")
        return value

    return read


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


def _text(read: Callable[[str], Any], example: str) -> Reader:
    def reader(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"is {value!r}; write it as a string such as {example}")
        return read(value)

    return reader


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"is {value!r}; write true or false")
    return value


def _exception_problem(text: str) -> str | None:
    return None if _MODULE.fullmatch(text) else "is not the name of an exception class"


_duration = _text(units.duration, '"90s"')

_RETRY: Mapping[str, Reader] = {
    "max_attempts": _integer(1, 1000),
    "base": _duration,
    "cap": _duration,
    "max_crashes": _integer(1, 1000),
    "permanent": _strings(_exception_problem),
}


def _retry(value: Any) -> RetryPolicy:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as { max_attempts = 5, base = "2s", cap = "10m" }')
    faults: list[Fault] = []
    values = _read_entry("", value, _RETRY, faults)
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
    "concurrency": _integer(1, 1024),
    "queue_type": _choice(QueueType),
    "prefetch": _integer(1, 1000),
    "drain": _duration,
}

_TASK: Mapping[str, Reader] = {
    "priority": _integer(0, 9),
    "timeout": _duration,
    "deadline": _duration,
    "cancel_grace": _duration,
    "at_most_once": _yes_or_no,
    "retry": _retry,
    "retention": _duration,
    "max_args": _text(units.size, '"256KiB"'),
}

KEYS = {"pools.toml": tuple(_POOL), "tasks.toml": tuple(_TASK)}
