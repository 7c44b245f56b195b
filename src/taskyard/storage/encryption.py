"""What is stored, by the key that sealed it, and writing it anew with the active one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from psycopg.rows import class_row, dict_row

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.sealed import Place
from taskyard.storage import task_logs
from taskyard.storage.failures import renewed_failure
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("encryption")

Row = dict[str, Any]
_LOWEST = UUID(int=0)
_MOST_PROBLEMS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyCount:
    """How many values of a kind one key sealed; the key `plain` stands for none."""

    kind: str
    key: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """Rows that hold sealed values. Where several share an id, a number tells them apart."""

    name: str
    renew: Callable[[KeyRing, Row], Row]
    lowest_number: int | str | None = None


@dataclass(slots=True)
class Renewal:
    """How far a kind is: where to go on, how many rows were written, how many no key opens.

    `problems` says of the first of those why.
    """

    written: int = 0
    left: int = 0
    problems: list[str] = field(default_factory=list)
    after: UUID = _LOWEST
    after_number: int | str | None = None


def _renew(**columns: Callable[[KeyRing, Any, Place], Any]) -> Callable[[KeyRing, Row], Row]:
    """Return what writes the columns of a row anew, each at the place of its own name."""

    def renew(ring: KeyRing, row: Row) -> Row:
        return {
            name: None if row[name] is None else again(ring, row[name], _place(row, name))
            for name, again in columns.items()
        }

    return renew


def _place(row: Row, name: str) -> Place:
    return Place(row["tenant"], row["id"], name)


def _text(ring: KeyRing, stored: str, place: Place) -> str:
    return ring.seal_text(ring.open_text(stored, place), place)


def _bytes(ring: KeyRing, stored: bytes, place: Place) -> bytes:
    return ring.seal_bytes(ring.open_bytes(stored, place), place)


def _secret(ring: KeyRing, stored: bytes, place: Place) -> bytes:
    place = place._replace(field="secret")  # the former one as well
    return ring.seal_text(ring.open_text(stored.decode(), place), place).encode()


def _progress(ring: KeyRing, stored: str, place: Place) -> str:
    return ring.renew(stored, place, beside=("fraction",))


def _detail(ring: KeyRing, stored: str, place: Place) -> str:
    members = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    if args := members.get("args_before"):
        renewed = ring.renew(bytes(args).decode(), place._replace(field="args"))
        members["args_before"] = msgspec.Raw(renewed.encode())
    return msgspec.json.encode(members).decode()


def _memo(ring: KeyRing, row: Row) -> Row:
    return {"value": ring.renew(row["value"], _place(row, f"memo {row['number']}"))}


KINDS: Sequence[Kind] = (
    Kind(
        name="tasks",
        renew=_renew(
            args=KeyRing.renew, result=KeyRing.renew, error=renewed_failure, progress=_progress
        ),
    ),
    Kind(name="history", renew=_renew(error=renewed_failure, detail=_detail), lowest_number=0),
    Kind(name="logs", renew=task_logs.renew, lowest_number=0),
    Kind(name="memos", renew=_memo, lowest_number=""),
    Kind(name="webhooks", renew=_renew(secret=_secret, former_secret=_secret)),
    Kind(name="deliveries", renew=_renew(body=_text, response_body=_text)),
    Kind(name="events", renew=_renew(document=KeyRing.renew)),
    Kind(name="parked", renew=_renew(detail=_text, attributes=KeyRing.renew, body=_bytes)),
)


async def count_keys(connection: AsyncConnection) -> list[KeyCount]:
    """Return how many values there are of each kind, by key. Reads everything: call it seldom."""
    async with connection.transaction(), connection.cursor(row_factory=class_row(KeyCount)) as rows:
        await rows.execute("SET LOCAL statement_timeout = 0")
        await rows.execute(_SQL["count_keys"])
        return await rows.fetchall()


async def renew_some(
    connection: AsyncConnection, kind: Kind, renewal: Renewal, *, limit: int
) -> bool:
    """Write the next rows of a kind anew, in one transaction; return whether there may be more.

    What no key opens is left as it is.
    """
    async with connection.transaction():
        rows = await _next(connection, kind, renewal, limit)
        renewed = []
        for row in rows:
            try:
                renewed.append(row | kind.renew(connection.ring, row))
            except (EncryptionKeyMissing, SealBroken) as error:
                renewal.left += 1
                if len(renewal.problems) < _MOST_PROBLEMS:
                    renewal.problems.append(error.detail)
        if renewed:
            columns = {name: [row[name] for row in renewed] for name in renewed[0]}
            await connection.execute(_SQL[f"write_{kind.name}"], columns)
    renewal.written += len(renewed)
    if rows:
        renewal.after, renewal.after_number = rows[-1]["id"], rows[-1].get("number")
    return len(rows) == limit


async def _next(connection: AsyncConnection, kind: Kind, renewal: Renewal, limit: int) -> list[Row]:
    number = kind.lowest_number if renewal.after_number is None else renewal.after_number
    given: Mapping[str, Any] = {
        "after": renewal.after, "after_number": number, "active": connection.ring.active,
        "limit": limit,
    }  # fmt: skip
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute("SET LOCAL statement_timeout = 0")
        await cursor.execute(_SQL[f"next_{kind.name}"], given)
        return await cursor.fetchall()
