"""Reading routing/events.toml: the rules that make tasks of events, compiled."""

import re
from collections.abc import Mapping
from typing import Any

from taskyard.core import topics, units
from taskyard.core.errors import Fault
from taskyard.core.events import Publisher
from taskyard.core.rules import EventRules, Expression, Rule
from taskyard.expressions import Compiled, InvalidExpression
from taskyard.routing_entries import Reader, duration, integer, read_entry, text, yes_or_no

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PUBLISHER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")  # no dot: roles have one
_ARGUMENT = re.compile(r"[A-Za-z_]\w*")
_REQUIRED = ("name", "match", "task")


def read_events(file: dict[str, Any], faults: list[Fault]) -> EventRules:
    """Return the rules of a file; what is wrong with it is added to the faults."""
    if unknown := [key for key in file if key not in ("rule", "events", "publishers")]:
        known = "there are [events], [publishers] and [[rule]]"
        faults += [Fault(f"events.toml {key}", f"is not a known key; {known}") for key in unknown]
    settings = read_entry("events.toml [events]", file.get("events", {}), _EVENTS, faults)
    entries = file.get("rule", [])
    if not isinstance(entries, list):
        faults.append(Fault("events.toml rule", "is one table; write [[rule]], with two brackets"))
        entries = []
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(entries, start=1):
        if (rule := _read_rule(number, entry, faults)) is None:
            continue
        if rule.name in rules:
            faults.append(Fault(f"events.toml [[rule]] {rule.name!r}", "is there twice"))
        rules[rule.name] = rule
    publishers = _read_publishers(file.get("publishers", {}), faults)
    return EventRules(rules=tuple(rules.values()), publishers=publishers, **settings)


def _read_publishers(entries: Any, faults: list[Fault]) -> tuple[Publisher, ...]:
    if not isinstance(entries, dict):
        faults.append(Fault("events.toml publishers", "must be tables such as [publishers.shop]"))
        return ()
    publishers = []
    for name, entry in entries.items():
        where = f"events.toml [publishers.{name}]"
        if not _PUBLISHER.fullmatch(name):
            problem = "is no name for a user: up to 63 letters, digits, _ and -"
            faults.append(Fault(where, problem))
        elif name == "guest":
            faults.append(Fault(where, "is a user that everybody knows"))
        publishers.append(Publisher(name=name, **read_entry(where, entry, _PUBLISHERS, faults)))
    return tuple(publishers)


def _read_rule(number: int, entry: Any, faults: list[Fault]) -> Rule | None:
    name = entry.get("name") if isinstance(entry, dict) else None
    where = f"events.toml [[rule]] {name!r}" if isinstance(name, str) else f"[[rule]] {number}"
    args = entry.get("args", {}) if isinstance(entry, dict) else {}
    plain = {k: v for k, v in entry.items() if k != "args"} if isinstance(entry, dict) else entry
    values = read_entry(where, plain, _RULE, faults)
    missing = [key for key in _REQUIRED if isinstance(entry, dict) and key not in entry]
    faults += [Fault(f"{where} {key}", "is required") for key in missing]
    arguments = _read_args(where, args, faults)
    return Rule(**values, args=arguments) if values.keys() >= set(_REQUIRED) else None


def _read_args(where: str, entry: Any, faults: list[Fault]) -> dict[str, Expression]:
    if not isinstance(entry, dict):
        faults.append(Fault(f"{where} args", 'must be a table such as { source = "data.key" }'))
        return {}
    if odd := [name for name in entry if not _ARGUMENT.fullmatch(name)]:
        faults += [Fault(f"{where} args.{name}", "is no name of an argument") for name in odd]
    return read_entry(f"{where} args", entry, dict.fromkeys(entry, _expression), faults)


def _expression(value: Any) -> Expression:
    if not isinstance(value, str):
        raise ValueError(f'is {value!r}; write a JMESPath string, a literal as "`{value}`"')
    try:
        return Compiled(value)
    except InvalidExpression as error:
        raise ValueError(f"{error} in {value[:80]!r}") from None


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError(f"is {value!r}; up to 63 of a-z, 0-9 and - are allowed")
    return value


def _pattern(value: str) -> str:
    if problem := topics.problem(value):
        raise ValueError(f"{value!r} {problem}")
    return value


def _delay(value: str) -> str:
    units.duration(value, zero=True)
    return value


def _types(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError('must be a list of one or more patterns, such as ["order.*"]')
    return tuple(map(_pattern, value))


_RULE: Mapping[str, Reader] = {
    "name": text(_name, '"new-uploads"'),
    "match": text(_pattern, '"upload.*.created"'),
    "when": _expression,
    "task": text(str, '"image.thumbnail"'),
    "priority": integer(0, 9),
    "delay": text(_delay, '"30s"'),
    "dedupe": _expression,
}

_PUBLISHERS: Mapping[str, Reader] = {"types": _types}

_EVENTS: Mapping[str, Reader] = {"retention": duration, "user_id_is_source": yes_or_no}

RULE_KEYS = (*_RULE, "args")
EVENTS_KEYS = tuple(_EVENTS)
PUBLISHER_KEYS = tuple(_PUBLISHERS)
