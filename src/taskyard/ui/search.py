"""The search form: what was asked for, in an address, and what is wrong with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.storage.task_search import Search
from taskyard.ui.fields import Readers, as_id, as_instant, as_label, one_of, read_fields

FIELDS = ("id", "type", "state", "pool", "label", "error", "after", "before")
_HEX = re.compile(r"[0-9a-f]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A form as it was filled in. With `faults`, by field, nothing is searched."""

    given: Mapping[str, str]
    search: Search = field(default_factory=Search)
    older: TaskId | None = None
    faults: Mapping[str, str] = field(default_factory=dict)

    def query(self, **more: str) -> str:
        """Return the query part of the address of this search, without a page."""
        asked = {name: self.given[name] for name in FIELDS if self.given.get(name)}
        return urlencode(asked | more)


def read(args: Mapping[str, str]) -> Asked:
    """Read what a browser sent; fields left empty do not matter."""
    given, wanted, faults = read_fields(args, _READERS)
    older = wanted.pop("older", None)
    if faults:
        return Asked(given=given, faults=faults)
    return Asked(given=given, search=Search(**wanted), older=older)


def _id(text: str) -> dict[str, Any]:
    """An id or its beginning: all ids between it filled up with zeros and with ones."""
    digits = text.lower().replace("-", "")
    if not _HEX.fullmatch(digits):
        raise ValueError("is neither an id nor the beginning of one")
    return {
        "first": TaskId(UUID(digits.ljust(32, "0"))),
        "last": TaskId(UUID(digits.ljust(32, "f"))),
    }


_READERS: Readers = {
    "id": _id,
    "type": lambda text: {"type": text},
    "state": lambda text: {"state": one_of(State)(text)},
    "pool": lambda text: {"pool": text},
    "label": as_label,
    "error": lambda text: {"error": text},
    "after": lambda text: {"created_after": as_instant(text)},
    "before": lambda text: {"created_before": as_instant(text)},
    "older": lambda text: {"older": TaskId(as_id(text))},
}
