"""Expressions over events: JMESPath (https://jmespath.org/specification.html), bounded.

They are compiled when a process starts. Names of functions and their number of arguments are
checked then too, which the library leaves to the first event.
"""

import re
from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError, LexerError, ParseError
from jmespath.functions import Functions

from taskyard.core.rules import Document, ExpressionFailed

LONGEST = 1_000  # characters
DEEPEST = 16  # levels of the syntax tree; what an expression may cost grows with it


class InvalidExpression(ValueError):
    """A text is no expression; the message names the column, counted from 1."""


class Compiled:
    """A compiled expression."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._parsed = _parse(text)

    def __call__(self, document: Document) -> Any:
        """Return the value on an event. Raises ExpressionFailed."""
        try:
            return self._parsed.search(document)
        except JMESPathError as error:
            raise ExpressionFailed(str(error)) from None
        except Exception as error:  # a value of a type the library did not think of
            raise ExpressionFailed(f"{type(error).__name__}: {error}") from None


def _parse(text: str) -> Any:
    if len(text) > LONGEST:
        raise InvalidExpression(f"has {len(text)} characters; at most {LONGEST} are allowed")
    try:
        parsed = jmespath.compile(text)
    except (JMESPathError, RecursionError) as error:
        raise InvalidExpression(_in_words(text, error)) from None
    for depth, node in _walk(parsed.parsed, 1):
        if depth > DEEPEST:
            raise InvalidExpression(f"is nested deeper than {DEEPEST} levels")
        if node["type"] == "function_expression":
            _check_call(text, node["value"], len(node["children"]))
    return parsed


def _in_words(text: str, error: Exception) -> str:
    if not text.strip():
        return "is empty"
    if isinstance(error, LexerError):
        return f"column {error.lexer_position + 1}: {error.message}"
    if isinstance(error, ParseError):
        if not error.token_value:
            return f"column {len(text) + 1}: ends too early"
        return f"column {error.lex_position + 1}: {error.token_value!r} cannot stand here"
    return "is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _walk(node: Any, depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    if isinstance(node, dict):
        yield depth, node
        if depth <= DEEPEST:
            for child in node.get("children", ()):
                yield from _walk(child, depth + 1)


def _check_call(text: str, name: str, given: int) -> None:
    found = re.search(rf"\b{re.escape(name)}\s*\(", text)
    column = found.start() + 1 if found else 1
    known = Functions.FUNCTION_TABLE
    if name not in known:
        raise InvalidExpression(f"column {column}: there is no function {name}()")
    signature = known[name]["signature"]
    variadic = bool(signature) and bool(signature[-1].get("variadic"))
    if given < len(signature) or (given > len(signature) and not variadic):
        least = "at least " if variadic else ""
        raise InvalidExpression(
            f"column {column}: {name}() takes {least}{len(signature)} arguments, not {given}"
        )
