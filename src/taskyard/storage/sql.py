"""The named statements of storage/queries/*.sql.

A statement begins with `-- name: …`; the comment lines below the name describe it.
"""

import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import LiteralString, cast

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(name: str) -> Mapping[str, LiteralString]:
    """Return the statements of queries/<name>.sql by their names."""
    text = files("taskyard.storage").joinpath(f"queries/{name}.sql").read_text()
    _preamble, *parts = _NAME.split(text)
    statements = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    # They are our own files, as literal as the code beside them.
    return cast("Mapping[str, LiteralString]", MappingProxyType(statements))
