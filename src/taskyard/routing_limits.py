"""Reading routing/resources.toml: budgets that task types share."""

import re
from collections.abc import Mapping
from typing import Any

from taskyard.core.errors import Fault
from taskyard.core.limits import Limit, read_rate
from taskyard.routing_entries import Reader, integer, read_entry, text

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)

RATE: Reader = text(read_rate, '"10/s"')

_RESOURCE: Mapping[str, Reader] = {"concurrency": integer(1, 100_000), "rate": RATE}

RESOURCE_KEYS = tuple(_RESOURCE)


def read_resources(file: dict[str, Any], faults: list[Fault]) -> dict[str, Limit]:
    """Return the resources of a file by name; what is wrong with it is added to the faults."""
    resources = {}
    for name, entry in file.items():
        where = f"resources.toml [{name}]"
        if not _NAME.fullmatch(name):
            faults.append(Fault(where, "is no name for a resource: a-z, then a-z, 0-9, _ or -"))
        values = read_entry(where, entry, _RESOURCE, faults)
        if isinstance(entry, dict) and not entry:
            faults.append(Fault(where, "bounds nothing; give it a concurrency, a rate or both"))
        resources[name] = Limit(name=f"resource:{name}", **values)
    return resources
