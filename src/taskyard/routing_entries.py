"""Reading files in TOML: each key of a table by a reader that refuses in words."""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from taskyard.core import units
from taskyard.core.errors import Fault

Reader = Callable[[Any], Any]


def load_toml(path: Path, faults: list[Fault], *, optional: bool = False) -> dict[str, Any]:
    """Return what a file holds; what is wrong with it is added to the faults."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if not optional:
            faults.append(Fault(path.name, f"is missing in {path.parent}"))
    except OSError as error:
        faults.append(Fault(path.name, f"cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append(Fault(path.name, "is not UTF-8"))
    except tomllib.TOMLDecodeError as error:
        faults.append(Fault(path.name, f"is not TOML: {error}"))
    return {}


def read_entry(
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


def integer(low: int, high: int) -> Reader:
    """Return the reader of a whole number between two bounds."""

    def read(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"is {value!r}, not a whole number from {low} to {high}")
        return value

    return read


def text(read: Callable[[str], Any], example: str) -> Reader:
    """Return the reader of a string that means something else."""

    def reader(value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f"is {value!r}; write it as a string such as {example}")
        return read(value)

    return reader


def yes_or_no(value: Any) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise ValueError(f"is {value!r}; write true or false")
    return value


duration = text(units.duration, '"90s"')
