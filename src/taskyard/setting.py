"""What a setting is, and how some are read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How one setting is read, and what it means to a user.

    A secret one may stand in a file, which the variable with _FILE behind its name names.
    """

    parse: Callable[[str], Any]
    meaning: str
    default: str | None = None
    secret: bool = False


def one_of(*choices: str) -> Callable[[str], str]:
    """Return the reader of a word."""

    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"is {text!r}; it may be {', '.join(choices)}")
        return text

    return parse


def yes_or_no(text: str) -> bool:
    """Read true or false."""
    return one_of("true", "false")(text) == "true"
