"""Memos: what a task's steps returned the first time, for its later attempts. Blocking."""

from dataclasses import dataclass
from typing import Any

from taskyard.core.lease import Lease
from taskyard.core.sealed import Place
from taskyard.storage.pool import Cursor, ring_of
from taskyard.storage.sql import queries

_SQL = queries("memos")


@dataclass(frozen=True, slots=True)
class Memo:
    """What a step returned."""

    value: Any


def find(cursor: Cursor, lease: Lease, step: str) -> Memo | None:
    """Return what was kept for a step, or None. Raises EncryptionKeyMissing and SealBroken."""
    row = cursor.execute(_SQL["find_memo"], {"id": lease.id, "step": step}).fetchone()
    return None if row is None else Memo(ring_of(cursor).open(row[0], _place(lease, step)))


def keep(cursor: Cursor, lease: Lease, step: str, value: str) -> bool:
    """Keep the JSON text of a step; return False when the lease was no longer ours."""
    sealed = ring_of(cursor).seal(value, _place(lease, step))
    given = {"id": lease.id, "token": lease.token, "step": step, "value": sealed}
    return cursor.execute(_SQL["keep_memo"], given).fetchone() is not None


def _place(lease: Lease, step: str) -> Place:
    return Place(lease.tenant, lease.id, f"memo {step}")
