"""How settings are read: each reader raises ValueError with what is wrong, in words."""

import base64
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit

from taskyard.core.addresses import Network
from taskyard.core.principal import TENANT, TenantId
from taskyard.core.webhooks import pattern_problem


def url(*schemes: str) -> Callable[[str], str]:
    """Return the reader of a URL of one of these schemes."""

    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not parts.hostname:
            shown = " or ".join(f"{scheme}://user:password@host/name" for scheme in schemes)
            raise ValueError(f"is not a URL like {shown}")
        return text

    return parse


def folder(text: str) -> Path:
    """Read the name of a folder that exists."""
    path = Path(text)
    if not path.is_dir():
        raise ValueError(f"names the folder {text!r}, which does not exist")
    return path.resolve()


def number(low: int, high: int) -> Callable[[str], int]:
    """Return the reader of a whole number within these bounds."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
            raise ValueError(f"is {text!r}, not a whole number from {low} to {high}")
        return int(text)

    return parse


def name(text: str) -> str:
    """Read a name that may stand in names of queues."""
    if not text or len(text) > 60 or not all(c.isalnum() or c in "-_." for c in text):
        raise ValueError(f"is {text!r}; up to 60 letters, digits and any of - _ . are allowed")
    return text


def stores(text: str) -> Mapping[str, str]:
    """Read stores as name=place, with commas between them."""
    found: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key, equals, place = entry.partition("=")
        if not equals or not key.strip() or not place.strip():
            raise ValueError(f"has the entry {entry!r}; write name=folder or name=s3://bucket/path")
        found[key.strip()] = place.strip()
    return found


def parts(text: str) -> list[str]:
    """Read what stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def pepper(text: str) -> bytes:
    """Read a key for digests: 32 characters or more, or none."""
    if text and len(text) < 32:
        raise ValueError(f"has {len(text)} characters; give it 32 random ones or more")
    return text.encode()


def tenant(text: str) -> TenantId:
    """Read a tenant's name."""
    if not TENANT.fullmatch(text):
        raise ValueError(f"is {text!r}; a tenant is 1 to 63 small letters, digits, _ and -")
    return TenantId(text)


def networks(text: str) -> tuple[Network, ...]:
    """Read networks in CIDR notation, with commas between them."""
    try:
        return tuple(ip_network(part) for part in parts(text))
    except ValueError as error:
        raise ValueError(f"names networks such as 10.1.0.0/16, fd00::/8; but {error}") from None


def patterns(text: str) -> tuple[str, ...]:
    """Read patterns of events, with commas between them."""
    for part in parts(text):
        if problem := pattern_problem(part):
            raise ValueError(f"has the pattern {part!r}, which {problem}")
    return tuple(parts(text))


def signing_secret(text: str) -> str | None:
    """Read a secret of Standard Webhooks, if there is one."""
    if text and not 24 <= _decoded(text.removeprefix("whsec_"), base64.b64decode) <= 64:
        raise ValueError("is not whsec_ and 24 to 64 random bytes in base64")
    return text or None


def _decoded(text: str, decode: Callable[[str], bytes]) -> int:
    try:
        return len(decode(text))
    except ValueError:
        return 0
