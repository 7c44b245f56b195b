"""What a request for a stream asks for: filters, and where to go on."""

from collections.abc import Callable
from typing import Any

from quart import request

from taskyard.api.query import as_label, as_text, one_of
from taskyard.core import topics
from taskyard.core.errors import Fault, InvalidRequest
from taskyard.core.principal import Owner
from taskyard.core.states import State
from taskyard.services.wanted import Wanted
from taskyard.storage.streams import Known

_LARGEST_POSITION, _LARGEST_NUMBER = 2**63 - 1, 2**31 - 1  # bigint, integer


def _as_pattern(text: str) -> str:
    if problem := topics.problem(as_text(text)):
        raise ValueError(problem)
    return text


_READERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "type": ("types", _as_pattern),
    "pool": ("pools", as_text),
    "state": ("states", one_of(*State)),
    "label": ("labels", as_label),
}


def wanted(owner: Owner) -> Wanted:
    """Return which changes of an owner are asked for. Raises InvalidRequest with every fault."""
    values: dict[str, list[Any]] = {field: [] for field, _ in _READERS.values()}
    faults: list[Fault] = []
    for name, text in request.args.items(multi=True):
        try:
            if name not in _READERS:
                raise ValueError(f"is not a filter; there are {', '.join(_READERS)}")
            field, read = _READERS[name]
            values[field].append(read(text))
        except ValueError as error:
            faults.append(Fault(f"?{name}", str(error)))
    if faults:
        raise InvalidRequest("the query has invalid parameters", faults=tuple(faults))
    return Wanted(owner=owner, **{field: tuple(given) for field, given in values.items()})


def last_position() -> int | None:
    """Return the position in Last-Event-ID, if there is one. Raises InvalidRequest."""
    text = request.headers.get("Last-Event-ID", "").strip()
    return _numbers(text, 1, _LARGEST_POSITION)[0] if text else None


def last_known() -> Known:
    """Return what Last-Event-ID says is known of a task: `seq`, or `seq.line` with its log."""
    text = request.headers.get("Last-Event-ID", "").strip()
    seq, line = _numbers(text, 2, _LARGEST_NUMBER) if text else (0, 0)
    return Known(seq, line)


def _numbers(text: str, most: int, largest: int) -> list[int]:
    parts = text.split(".")
    if len(parts) > most or not all(p.isascii() and p.isdigit() and len(p) < 20 for p in parts):
        fault = Fault("Last-Event-ID", "is not an id that a stream of this kind gave")
        raise InvalidRequest("the Last-Event-ID header is not valid", faults=(fault,))
    return [*(min(int(part), largest) for part in parts), *([0] * (most - len(parts)))]
