"""Query parameters, each read by a function that refuses in words."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from taskyard.api.request import from_cursor
from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.states import State

PAGE = 50
LARGEST_PAGE = 500

Readers = Mapping[str, Callable[[str], Any]]


def read_query(given: Iterable[tuple[str, str]], readers: Readers) -> dict[str, Any]:
    """Return the checked parameters. Raises InvalidRequest with every fault.

    `label` may be repeated and becomes `labels`; `cursor` becomes `before`.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, given_text in given:
        try:
            if name == "label":
                key, value = as_label(given_text)
                values.setdefault("labels", {})[key] = value
            elif name not in readers:
                raise ValueError(f"is not a filter; there are label, {', '.join(readers)}")
            else:
                values["before" if name == "cursor" else name] = readers[name](given_text)
        except ValueError as error:
            faults.append(Fault(f"?{name}", str(error)))
    if faults:
        raise InvalidRequest("the query has invalid parameters", faults=tuple(faults))
    return values


def as_label(text: str) -> tuple[str, str]:
    """Read a label, written key:value."""
    key, colon, value = text.partition(":")
    if not colon:
        raise ValueError("must be written key:value")
    return as_text(key), as_text(value)


def one_of(*states: State) -> Callable[[str], State]:
    """Return the reader of a state that is one of these."""

    def read(text: str) -> State:
        if text not in states:
            raise ValueError(f"is {text[:40]!r}; a state is one of {', '.join(states)}")
        return State(text)

    return read


def as_instant(text: str) -> datetime:
    """Read a time in RFC 3339."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time in RFC 3339, such as 2026-01-31T12:00:00Z") from None
    if instant.tzinfo is None:
        raise ValueError("has no time zone; end it with Z or an offset")
    return instant


def as_limit(text: str) -> int:
    """Read the size of a page."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= LARGEST_PAGE:
        raise ValueError(f"must be a whole number from 1 to {LARGEST_PAGE}")
    return int(text)


def as_text(text: str) -> str:
    """Read text that Postgres can hold."""
    if "\0" in text:
        raise ValueError("holds a NUL character")
    return text


as_cursor = from_cursor
