"""Idempotency: one key, one task, and one reply however often it is asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from taskyard.core.idempotency import IdempotencyKey, KeyedRequest
from taskyard.core.task import NewTask, Repeated
from taskyard.services.submit import Submission
from taskyard.storage import idempotency
from taskyard.storage.pool import OwnPool, borrowed

_KEPT_AFTER_RESULT = timedelta(days=7)


def keyed_request(wish: Submission, key: IdempotencyKey) -> KeyedRequest:
    """Return a submission's key together with what it asks for."""
    return KeyedRequest(key=key, request_hash=request_hash(wish))


def with_key(new: NewTask, request: KeyedRequest, *, retention: timedelta) -> NewTask:
    """Return the row to store with its key, kept for the retention of its type and 7 days more."""
    life = retention + _KEPT_AFTER_RESULT
    return replace(new, keyed=request, key_life=life.total_seconds())


def request_hash(wish: Submission) -> bytes:
    """Return the SHA-256 of what a submission asks for, in a canonical form.

    The order of members does not matter, nor whether one that is null or empty is sent at all, nor
    the offset in which an instant is written. Everything else is taken as it was sent: 1 and 1.0
    are two requests, because they are two values to the task, and so are "60s" and "1m".
    """
    given = ((name, getattr(wish, name)) for name in Submission.__struct_fields__)
    asked = {name: _canonical(value) for name, value in given if value not in (None, {})}
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()


def _canonical(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return value


async def first_replies(
    pool: OwnPool, requests: Sequence[KeyedRequest]
) -> dict[KeyedRequest, Repeated]:
    """Return what those requests were answered with that were accepted before.

    Ask it before refusing one: the routing table or a task's schema may have changed since, and a
    refusal says that nothing runs.
    """
    if not requests:
        return {}
    async with borrowed(pool) as connection:
        found = await idempotency.find(connection, [request.key for request in requests])
    return {
        request: first.reply
        for request in requests
        if (first := found.get(request.key)) and first.request_hash == request.request_hash
    }
