"""Idempotency keys: the names callers give to their submissions, so that they may repeat them.

The form of the header is that of draft-ietf-httpapi-idempotency-key-header: a string of
Structured Fields (RFC 9651, section 3.3.3). Many clients send the bare text, so that is taken too.
"""

import re
from dataclasses import dataclass

from taskyard.core.principal import TenantId

LONGEST_KEY = 255
LONGEST_BATCH_KEY = 250  # so that the key of its last item, `<key>/9999`, is no longer than a key

_PRINTABLE = re.compile(r"[ -~]+")
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_ESCAPE = re.compile(r'\\(["\\])')


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """A key, which belongs to one tenant."""

    text: str
    tenant: TenantId

    def of_item(self, index: int) -> "IdempotencyKey":
        """Return the key of an item of a batch, counted from 0, that has no key of its own."""
        return IdempotencyKey(f"{self.text}/{index}", self.tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedRequest:
    """A key and the SHA-256 of the request it stands for."""

    key: IdempotencyKey
    request_hash: bytes


def read_header(value: str, *, tenant: TenantId, longest: int = LONGEST_KEY) -> IdempotencyKey:
    """Return a tenant's key of a header field. Raises ValueError for what is not one."""
    if not value.startswith('"'):
        return read_key(value, tenant=tenant, longest=longest)
    if (quoted := _QUOTED.fullmatch(value)) is None:
        raise ValueError("begins with a quote and is not one string in quotes (RFC 9651)")
    return read_key(_ESCAPE.sub(r"\1", quoted.group(1)), tenant=tenant, longest=longest)


def read_key(text: str, *, tenant: TenantId, longest: int = LONGEST_KEY) -> IdempotencyKey:
    """Return the key that a text is. Raises ValueError for what is not one."""
    if not 1 <= len(text) <= longest or not _PRINTABLE.fullmatch(text):
        raise ValueError(f"must be 1 to {longest} printable ASCII characters")
    return IdempotencyKey(text, tenant)
