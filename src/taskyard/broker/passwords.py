"""Passwords of the broker's users: a folder with a file for each, named like the user. Blocking."""

import os
import secrets
import tempfile
from pathlib import Path

from taskyard.core.errors import Misconfigured


def made() -> str:
    """Make a password of 256 random bits, which needs no quoting in a URL."""
    return secrets.token_urlsafe(32)


def read(folder: Path, user: str) -> str | None:
    """Return a user's password, or None if there is no file. Raises Misconfigured."""
    try:
        found = (folder / user).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{folder / user}: the password cannot be read: {error}") from error
    if not found:
        raise Misconfigured(f"{folder / user} is empty; remove it to have a password made")
    return found


def keep(folder: Path, user: str, password: str) -> None:
    """Write a user's password to a file that nobody else can read. Raises Misconfigured."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Whole or not at all: a role may be reading it.
        descriptor, fresh = tempfile.mkstemp(prefix=f".{user}.", dir=folder)  # 0600
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(password + "\n")
            file.flush()
            os.fsync(descriptor)
        Path(fresh).replace(folder / user)
    except OSError as error:
        raise Misconfigured(f"{folder / user}: the password cannot be written: {error}") from error
