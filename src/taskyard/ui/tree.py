"""JSON as a tree that a page can show: bounded, whatever was sent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

_MOST_NODES = 2_000
_MOST_CHILDREN = 200
_LONGEST = 5_000  # characters of a text
_DEEPEST = 30
_OPEN = 3  # levels that are open at first
_FEW = 12  # children of what is open at first


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A value: `text` of one without children, how many of one with; `left_out` are not shown."""

    key: str | None
    kind: str
    text: str
    children: tuple["Node", ...] = ()
    left_out: int = 0
    open: bool = False


def tree_of(value: Any) -> Node:
    """Return the tree of a JSON value."""
    return _node(None, value, 0, iter(range(_MOST_NODES)))


def _node(key: str | None, value: Any, depth: int, left: Iterator[int]) -> Node:
    match value:
        case dict() | list() if value and depth < _DEEPEST:
            return _branch(key, value, depth, left)
        case str():
            return _text(key, value)
        case bool() | None:
            return Node(key=key, kind="word", text=_json(value))
        case int() | float():
            return Node(key=key, kind="number", text=_json(value))
        case _:  # empty, or too deep
            whole = _json(value)
            cut = whole[:_LONGEST]
            return Node(key=key, kind="raw", text=cut, left_out=len(whole) - len(cut))


def _branch(key: str | None, value: Any, depth: int, left: Iterator[int]) -> Node:
    members = value.items() if isinstance(value, dict) else enumerate(value)
    children: list[Node] = []
    for name, each in members:
        if len(children) == _MOST_CHILDREN or next(left, None) is None:
            break
        children.append(_node(str(name), each, depth + 1, left))
    kind, noun = ("object", "member") if isinstance(value, dict) else ("array", "element")
    return Node(
        key=key,
        kind=kind,
        text=f"{len(value)} {noun}{'' if len(value) == 1 else 's'}",
        children=tuple(children),
        left_out=len(value) - len(children),
        open=depth == 0 or (depth < _OPEN and len(value) <= _FEW),
    )


def _text(key: str | None, value: str) -> Node:
    cut = value[:_LONGEST]
    return Node(key=key, kind="string", text=cut, left_out=len(value) - len(cut))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
