"""The named statements of queries/*.sql, of storage and of any package that has such a folder.

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
def queries(name: str, *, package: str = "taskyard.storage") -> Mapping[str, LiteralString]:
    """Return the statements of the package's queries/<name>.sql by their names."""
    text = files(package).joinpath(f"queries/{name}.sql").read_text()
    _preamble, *parts = _NAME.split(text)
    statements = dict(zip(parts[::2], (part.strip() for part in parts[1::2]), strict=True))
    # They are our own files, as literal as the code beside them.
    return cast("Mapping[str, LiteralString]", MappingProxyType(statements))
