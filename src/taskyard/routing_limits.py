"""Reading routing/resources.toml and limits.toml: shared budgets, and what tenants may do."""

import re
from collections.abc import Mapping
from typing import Any

from taskyard.core.errors import Fault
from taskyard.core.limits import Limit, read_rate
from taskyard.core.quotas import READERS, Quota
from taskyard.routing_entries import Reader, integer, read_entry, text

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}", re.ASCII)

RATE: Reader = text(read_rate, '"10/s"')

_RESOURCE: Mapping[str, Reader] = {"concurrency": integer(1, 100_000), "rate": RATE}

RESOURCE_KEYS = tuple(_RESOURCE)
QUOTA_KEYS = tuple(READERS)


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


def read_quota(file: dict[str, Any], faults: list[Fault]) -> Quota:
    """Return what holds for a tenant without settings of its own: [tenant] of limits.toml."""
    for key in file.keys() - {"tenant"}:
        faults.append(Fault(f"limits.toml [{key}]", "is not a known table; there is [tenant]"))
    return Quota(**read_entry("limits.toml [tenant]", file.get("tenant", {}), READERS, faults))
