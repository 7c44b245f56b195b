"""Reading the settings about who is let in."""

from pathlib import Path
from urllib.parse import urlsplit

_SHORTEST_KEY = 32


def file(text: str) -> Path | None:
    """Return the file that a setting names, if it names one. Raises ValueError in words."""
    if text and not Path(text).is_file():
        raise ValueError(f"names the file {text!r}, which does not exist")
    return Path(text).resolve() if text else None


def session_keys(text: str) -> tuple[str, ...]:
    """Return keys separated by commas. Raises ValueError in words, which show none of them."""
    keys = tuple(part.strip() for part in text.split(",") if part.strip())
    for number, key in enumerate(keys, start=1):
        if len(key) < _SHORTEST_KEY:
            raise ValueError(
                f"has key {number}, which has {len(key)} characters; give it {_SHORTEST_KEY} "
                "random ones or more"
            )
    return keys


def public_url(text: str) -> str | None:
    """Return scheme and host of a URL, if there is one. Raises ValueError in words."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        plain = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        plain = False
    if not plain or parts.path not in ("", "/") or "@" in parts.netloc or "?" in text:
        raise ValueError(f"is {text[:80]!r}; write https://host, with a port if there is one")
    return f"{parts.scheme}://{parts.netloc}"
