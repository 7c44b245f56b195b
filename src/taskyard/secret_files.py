"""Secrets in files: the variable NAME_FILE names the file that holds what NAME would hold."""

from collections.abc import Mapping
from pathlib import Path

FILE_SUFFIX = "_FILE"


def text_of(environ: Mapping[str, str], variable: str, *, secret: bool) -> str | None:
    """Return what a variable holds, or the file that is named for a secret one; None: neither.

    Raises ValueError, in words, when both are given or the file cannot be read.
    """
    named = environ.get(variable + FILE_SUFFIX)
    if named is None:
        return environ.get(variable)
    if not secret:
        raise ValueError(f"is set, but {variable} is no secret; set it itself")
    if variable in environ:
        raise ValueError(f"and {variable} are both set; set one of them")
    try:
        return Path(named).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text in UTF-8"
        raise ValueError(f"names the file {named!r}, which cannot be read: {why}") from None


def is_given(environ: Mapping[str, str], variable: str) -> bool:
    """Return whether a variable is set, or one that names a file for it."""
    return variable in environ or variable + FILE_SUFFIX in environ
