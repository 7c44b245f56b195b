"""Fields of forms and of addresses: what was given, what it means, and what is wrong with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import urlencode
from uuid import UUID

Choice = TypeVar("Choice", bound=StrEnum)

# Each returns what a text means, by the names of a search, or raises ValueError in words.
Readers = Mapping[str, Callable[[str], dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """A form as it was filled in, and what it means; with `faults`, by field, nothing is done."""

    given: Mapping[str, str]
    wanted: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def query(self, **more: str) -> str:
        """Return the query part of an address that says the same, without a page."""
        kept = {name: text for name, text in self.given.items() if name != "older"}
        return urlencode(kept | more)


def fields_of(args: Mapping[str, str], readers: Readers) -> Fields:
    """Read what a browser sent; what is unknown is left out, what is empty does not matter."""
    given, wanted, faults = read_fields(args, readers)
    known = {name: text for name, text in given.items() if name in readers}
    return Fields(given=known, wanted={} if faults else wanted, faults=faults)


def read_fields(
    args: Mapping[str, str], readers: Readers
) -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    """Return what was given, what it means, and by field what is wrong with it."""
    given = {name: text for name, each in args.items() if (text := each.strip())}
    wanted: dict[str, Any] = {}
    faults: dict[str, str] = {}
    for name, reader in readers.items():
        if name not in given:
            continue
        try:
            if "\0" in given[name]:
                raise ValueError("holds a NUL character")
            wanted |= reader(given[name])
        except ValueError as error:
            faults[name] = str(error)
    return given, wanted, faults


def as_instant(text: str) -> datetime:
    """Read a time as a form has it, in UTC, or with an offset of its own."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("is not a time such as 2026-01-31T12:00") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def as_rate(text: str) -> float:
    """Read how many a second."""
    try:
        rate = float(text)
    except ValueError:
        rate = 0
    if not 0 < rate <= 100_000:
        raise ValueError("must be a number above 0, at most 100000")
    return rate


def as_priority(text: str) -> int:
    """Read a priority."""
    if len(text) != 1 or text not in "0123456789":
        raise ValueError("must be 0 to 9")
    return int(text)


def as_label(text: str) -> dict[str, Any]:
    """Read a label, written key:value."""
    key, colon, value = text.partition(":")
    if not colon:
        raise ValueError("must be written key:value")
    return {"labels": {key.strip(): value.strip()}}


def as_id(text: str) -> UUID:
    """Read where a page of a list begins."""
    try:
        return UUID(text)
    except ValueError:
        raise ValueError("is not a page of this list") from None


def one_of(kind: type[Choice]) -> Callable[[str], Choice]:
    """Return the reader of one word of several."""

    def read(text: str) -> Choice:
        if text not in list(kind):
            raise ValueError(f"is none of {', '.join(kind)}")
        return kind(text)

    return read
