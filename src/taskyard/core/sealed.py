"""What is sealed: which keys there are, where a value belongs, how it looks when it is closed.

A sealed value is a JSON object with the member `$sealed`: `1.<key id>.<nonce and ciphertext>`, the
latter in base64. Members beside it are plain, such as the code of an error. Text columns hold the
same object as JSON text.

What a caller sends may have such a member, too. Where it is stored plain it is wrapped, as
`{"$sealed": false, "value": …}`, so that it is never mistaken for a sealed value.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

MARK = "$sealed"
VERSION = "1"
KEY_BYTES = 32  # AES-256
PLAIN = "plain"  # stands among the ids of keys for none

_KEY_ID = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Place(NamedTuple):
    """Where a value belongs: sealed for one place, it opens in no other."""

    tenant: str
    id: UUID
    field: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptionKeys:
    """The keys of a deployment by their ids. The active one closes, any opens.

    Without an active one, new values are stored plain.
    """

    active: str | None = None
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __bool__(self) -> bool:
        return bool(self.secrets)


def parse_keys(text: str) -> EncryptionKeys:
    """Return the keys that `<id>:<32 bytes in base64>, …` names; the first one is active.

    With `plain` in the place of the first, none is. Raises ValueError, which never shows a key.
    """
    secrets: dict[str, bytes] = {}
    active = None
    entries = filter(None, map(str.strip, text.split(",")))
    for number, entry in enumerate(entries, start=1):
        if entry == PLAIN:
            continue
        key_id, _, encoded = entry.partition(":")
        if key_id == PLAIN or key_id in secrets or not _KEY_ID.fullmatch(key_id):
            raise ValueError(
                f"has no <id>:<key> as number {number}; an id is 1 to 32 lower-case letters, "
                f"digits and -, another one for each key, and not {PLAIN!r}"
            )
        secret = _decoded(encoded)
        if len(secret) != KEY_BYTES:
            raise ValueError(f"has as number {number} a key that is not 32 bytes in base64")
        secrets[key_id] = secret
        active = key_id if number == 1 else active
    return EncryptionKeys(active=active, secrets=secrets)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def key_of(value: Any) -> str | None:
    """Return the id of the key that sealed a value, or None when it is plain."""
    if type(value) is not dict or type(mark := value.get(MARK)) is not str:
        return None
    version, _, rest = mark.partition(".")
    key_id, dot, _ = rest.partition(".")
    return key_id if version == VERSION and dot else ""
