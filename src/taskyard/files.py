"""Files of tasks: in named stores, never in a payload.

    files.read("inputs/photo.jpg")            the bytes
    files.write("outputs/photo-64.jpg", …)    stores them, returns the name

A name is `<store>/<key>`. Stores are configured (TASKYARD_STORES): folders, or `s3://bucket/path`
with the usual AWS_… variables. Task arguments come from callers, so a name cannot leave its store.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import LocalStore, from_url

LARGEST = 100 * 1024 * 1024  # bytes that `read` takes into memory


class FileRefused(Exception):
    """A file name that may not be used, or a file that cannot be. No retry can help."""

    permanent = True


class NotConfined(FileRefused):
    """The name does not stay within a configured store."""


class NoSuchFile(FileRefused):
    """The store has no file of this name."""


class Stores:
    """The configured stores, by name."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._folders = {name: Path(place) for name, place in places.items() if "://" not in place}
        for folder in self._folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        self._stores: dict[str, Any] = {
            name: LocalStore(self._folders[name]) if name in self._folders else from_url(place)
            for name, place in places.items()
        }

    def read(self, name: str) -> bytes:
        """Return a file's bytes. Raises NotConfined, NoSuchFile, or FileRefused over 100 MiB."""
        store, key = self._locate(name)
        try:
            found = obstore.get(store, key)
            if found.meta["size"] > LARGEST:
                raise FileRefused(f"{name!r} has {found.meta['size']} bytes of at most {LARGEST}")
            return bytes(found.bytes())
        except (FileNotFoundError, NotFoundError, IsADirectoryError):
            raise NoSuchFile(f"there is no file {name!r}") from None

    def write(self, name: str, data: bytes) -> str:
        """Store bytes under a name, whole or not at all; return the name. Raises NotConfined."""
        store, key = self._locate(name)
        obstore.put(store, key, data)
        return name

    def exists(self, name: str) -> bool:
        """Return whether there is such a file. Raises NotConfined."""
        store, key = self._locate(name)
        try:
            obstore.head(store, key)
        except (FileNotFoundError, NotFoundError):
            return False
        return True

    def _locate(self, name: str) -> tuple[Any, str]:
        store, slash, key = name.partition("/")
        if "://" in name or not slash:
            raise NotConfined(f"{name[:200]!r} is not a file name; write <store>/<path>")
        if store not in self._stores:
            raise NotConfined(
                f"there is no store {store[:64]!r}; there are {', '.join(self._stores)}"
            )
        parts = key.split("/")
        if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
            raise NotConfined(f"{name[:200]!r} has a path segment that is empty, dots or odd")
        if (folder := self._folders.get(store)) is not None:
            root = folder.resolve()
            # A link inside the folder may point anywhere; what it points to must be inside too.
            if not (root / key).resolve().is_relative_to(root):
                raise NotConfined(f"{name[:200]!r} leads out of its store")
        return self._stores[store], key


_configured: list[Stores] = []


def configure(places: Mapping[str, str]) -> Stores:
    """Set the stores of this process; a worker does it when it starts."""
    _configured[:] = [Stores(places)]
    return _configured[0]


def _stores() -> Stores:
    if not _configured:
        raise RuntimeError("no stores are configured; call taskyard.files.configure({...}) first")
    return _configured[0]


def read(name: str) -> bytes:
    """Return a file's bytes. Raises NotConfined, NoSuchFile or FileRefused."""
    return _stores().read(name)


def write(name: str, data: bytes) -> str:
    """Store bytes under a name; return the name. Raises NotConfined."""
    return _stores().write(name, data)


def exists(name: str) -> bool:
    """Return whether there is such a file. Raises NotConfined."""
    return _stores().exists(name)
