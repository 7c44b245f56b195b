"""JSON without its traps (RFC 8259 within the bounds of I-JSON, RFC 7493).

Python's own decoder takes NaN, duplicate keys and lone surrogates, and fails in its own ways on
deep nesting and long integers; Postgres refuses NUL. Each is refused here with a JSON Pointer. A
good body costs one pass of the C decoder; the search for the place begins when something is wrong.
"""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from taskyard.core.errors import Fault, InvalidRequest, MalformedBody, TaskyardError

MAX_DEPTH = 32
_LARGEST = 2**63
_MOST_FAULTS = 20


class _Trap:
    """Stands in a decoded value for what must not be there."""

    def __init__(self, problem: str, value: Any = None) -> None:
        self.problem = problem
        self.value = value


class _Trapped(Exception):
    """Something is wrong somewhere: look where."""


def decode(body: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Return the value of a JSON text.

    Raises MalformedBody when it is none, InvalidRequest with a pointer for each value that may
    not be there.
    """
    text = _text(body)
    try:
        try:
            value = _FAST.decode(text)
            # Only an escape can spell NUL or half a surrogate pair; the rest is checked by now.
            if "\\u" not in text and text.count("[") + text.count("{") <= max_depth:
                return value
        except _Trapped:
            value = _MARKING.decode(text)
    except RecursionError:
        raise _too_deep(max_depth) from None
    except json.JSONDecodeError as error:
        raise MalformedBody(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    faults = tuple(islice(_search(value, "", max_depth), _MOST_FAULTS))
    if faults:
        raise InvalidRequest("the body has values that are not allowed", faults=faults)
    return value


def decode_lines(body: bytes) -> Iterator[Any]:
    """Yield the value of each line of NDJSON, or its error: a bad line spoils no other."""
    for line in body.split(b"\n"):
        if line.strip():
            try:
                yield decode(line)
            except TaskyardError as error:
                yield error


def _text(body: bytes) -> str:
    if not body.strip():
        raise MalformedBody("the body is empty; send a JSON object")
    if body.startswith(b"\xef\xbb\xbf"):
        raise MalformedBody("the body begins with a byte order mark; send UTF-8 without one")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedBody(f"the body is not UTF-8: byte {error.start} is invalid") from None


def _integer(text: str) -> int:
    if len(text) > 20 or not -_LARGEST <= (number := int(text)) < _LARGEST:
        raise _Trapped
    return number


def _float(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise _Trapped
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Trapped
    return found


def _constant(_: str) -> Any:
    raise _Trapped


def _marked_integer(text: str) -> Any:
    try:
        return _integer(text)
    except _Trapped:
        return _Trap("is an integer beyond 64 bits; send it as a string")


def _marked_float(text: str) -> Any:
    try:
        return _float(text)
    except _Trapped:
        return _Trap("is beyond what a double can hold; send it as a string")


def _marked_object(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    for key in found if len(found) != len(pairs) else ():
        if sum(key == other for other, _ in pairs) > 1:
            found[key] = _Trap("is given more than once; keep one of them", found[key])
    return found


def _marked_constant(name: str) -> Any:
    return _Trap(f"is {name}, which JSON does not have; send null or a string")


# Without these hooks the stock decoder is used, in C throughout but for the hooks themselves.
_FAST = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
_MARKING = json.JSONDecoder(
    object_pairs_hook=_marked_object,
    parse_int=_marked_integer,
    parse_float=_marked_float,
    parse_constant=_marked_constant,
)


def _search(value: Any, pointer: str, levels: int) -> Iterator[Fault]:
    """Yield what is wrong below a pointer, in the order of the text."""
    if isinstance(value, _Trap):
        yield Fault(pointer, value.problem)
        value = value.value
    if isinstance(value, str) and (problem := _text_problem(value)):
        yield Fault(pointer, problem)
    if isinstance(value, dict | list) and levels == 0:
        yield Fault(pointer, "is nested too deeply; flatten it or send it as a string")
    elif isinstance(value, dict):
        for key, item in value.items():
            if problem := _text_problem(key):
                yield Fault(pointer, f"has a key that {problem}")
            yield from _search(item, f"{pointer}/{_escaped(key)}", levels - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _search(item, f"{pointer}/{index}", levels - 1)


def _text_problem(text: str) -> str | None:
    if "\0" in text:
        return "holds the character U+0000, which cannot be stored; remove it"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "holds half of a surrogate pair; send whole characters"
    return None


def _escaped(key: str) -> str:
    safe = key.encode("utf-8", "replace").decode()
    return safe.replace("~", "~0").replace("/", "~1").replace("\0", "\ufffd")


def _too_deep(max_depth: int) -> InvalidRequest:
    fault = Fault(
        "", f"is nested deeper than {max_depth} levels; flatten it or send it as a string"
    )
    return InvalidRequest("the body has values that are not allowed", faults=(fault,))
