"""The shape of a message: what it says without its values, so that the same fault is one group.

The function message_shape of the migrations does the same in the database, where it can read.
"""

import re

_LONGEST = 500  # characters that count

_QUOTED = re.compile(r"""(^|[^\w]|_)(?:'[^']*'|"[^"]*"|`[^`]*`)""")
_WORDS = re.compile(
    r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+"
    r"|(?=[a-f]*[0-9])[0-9a-f]{8,})\b",
    re.IGNORECASE | re.ASCII,
)
_NUMBERS = re.compile(r"(?:#|[0-9]+)(?:[.,:](?:#|[0-9]+))*")


def shape(message: str) -> str:
    """Return a message with what stands in quotes as "…", each UUID, hex word and number as #."""
    text = _QUOTED.sub(r'\1"…"', message[:_LONGEST])
    return _NUMBERS.sub("#", _WORDS.sub("#", text))
