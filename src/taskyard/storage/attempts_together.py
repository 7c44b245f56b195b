"""Claims and results of many attempts in one statement and one commit. Blocking.

Each is fenced by its own token and answered by itself, in the order they were given in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import psycopg

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.sealed import Place
from taskyard.core.task import TaskId
from taskyard.storage.attempts import claim, find_claimed, lease_of
from taskyard.storage.pool import Cursor
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("attempts")

Stored = bool | psycopg.Error  # whether the lease was still ours, or why it cannot be stored


@dataclass(frozen=True, slots=True)
class Wanted:
    """A claim that is to be made: of which task, and the token that it would show."""

    id: TaskId
    type: str
    token: LeaseToken


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that succeeded, and its result: JSON text as it is stored, maybe sealed."""

    id: TaskId
    token: LeaseToken
    result: str


def ended(ring: KeyRing, lease: Lease, result: str) -> Ended:
    """Return an end to be stored with others. Raises DataError for what cannot be sealed."""
    sealed = ring.seal(result, Place(lease.tenant, lease.id, "result"))
    return Ended(lease.id, lease.token, sealed)


def finish_and_claim(
    cursor: Cursor, ends: Sequence[Ended], wanted: Sequence[Wanted], worker: str
) -> tuple[list[Stored], list[Lease | None]]:
    """Store results, and take leases for what follows them, in one statement.

    A result that Postgres cannot store is no fault of its neighbours. Raises OperationalError,
    after which nobody knows; said again with the same tokens, the same leases come back.
    """
    if not ends or not wanted:
        return _finish(cursor, ends), _claim(cursor, wanted, worker)
    given = _ending(ends) | _wanting(wanted, worker)
    try:
        rows = cursor.execute(_SQL["finish_and_claim"], given).fetchall()
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return _finish(cursor, ends), _claim(cursor, wanted, worker)
    return _stored(ends, rows), _leases(cursor, wanted, rows)


def _finish(cursor: Cursor, ends: Sequence[Ended]) -> list[Stored]:
    if len(ends) > 1:
        try:
            return _stored(ends, cursor.execute(_SQL["finish_many"], _ending(ends)).fetchall())
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            pass
    return [_finish_one(cursor, each) for each in ends]


def _finish_one(cursor: Cursor, end: Ended) -> Stored:
    given = {"id": end.id, "token": end.token, "result": end.result}
    try:
        return cursor.execute(_SQL["finish"], given).fetchone() is not None
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        return error


def _claim(cursor: Cursor, wanted: Sequence[Wanted], worker: str) -> list[Lease | None]:
    if len(wanted) > 1:
        rows = cursor.execute(_SQL["claim_many"], _wanting(wanted, worker)).fetchall()
        return _leases(cursor, wanted, rows)
    return [claim(cursor, each.id, each.type, worker, each.token) for each in wanted]


def _ending(ends: Sequence[Ended]) -> dict[str, Any]:
    # In the order of their ids, as heartbeats extend them: two that lock rows never wait in a ring.
    ordered = sorted(ends, key=lambda each: each.id)
    return {
        "ended": _array([each.id for each in ordered]),
        "shown": _array([each.token for each in ordered]),
        "results": f"[{','.join([each.result for each in ordered])}]",
    }


def _wanting(wanted: Sequence[Wanted], worker: str) -> dict[str, Any]:
    ordered = sorted(wanted, key=lambda each: each.id)
    return {
        "wanted": _array([each.id for each in ordered]),
        "tokens": _array([each.token for each in ordered]),
        "types": msgspec.json.encode([each.type for each in ordered]).decode(),
        "worker": worker,
    }


def _array(ids: Sequence[TaskId] | Sequence[LeaseToken]) -> str:
    """Return ids as Postgres reads an array: psycopg takes longer for a list."""
    return f"{{{','.join(map(str, ids))}}}"


def _stored(ends: Sequence[Ended], rows: Sequence[tuple[Any, ...]]) -> list[Stored]:
    stored = {row[:2] for row in rows}
    return [(each.id, each.token) in stored for each in ends]


def _leases(
    cursor: Cursor, wanted: Sequence[Wanted], rows: Sequence[tuple[Any, ...]]
) -> list[Lease | None]:
    taken = {row[:2]: row[2:] for row in rows}

    def lease(each: Wanted) -> Lease | None:
        row = taken.get((each.id, each.token))
        if row is None:
            return find_claimed(cursor, each.id, each.type, each.token)
        return lease_of(each.id, each.type, each.token, row)

    return [lease(each) for each in wanted]
