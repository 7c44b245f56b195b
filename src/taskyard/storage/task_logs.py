"""The log of a task: the newest hundred lines that its attempts said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from psycopg.rows import dict_row

from taskyard.core.lease import Lease
from taskyard.core.sealed import Place, key_of
from taskyard.core.task import TaskId
from taskyard.storage.pool import AsyncConnection, Cursor, owned_by, ring_of
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("task_logs")

MOST_LINES = 100  # as the statement keep_lines has it
_SEALED = "line"


@dataclass(frozen=True, slots=True, kw_only=True)
class SaidLine:
    """A line that is to be kept: `age` in seconds, `offset` from the line kept before it all.

    `fields` is JSON text.
    """

    offset: int
    age: float
    text: str
    fields: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a task's log. Numbers that are missing were said, and dropped."""

    number: int
    at: datetime
    attempt: int
    text: str
    fields: dict[str, Any]


def keep(cursor: Cursor, lease: Lease, lines: Sequence[SaidLine]) -> None:
    """Add lines to the log of the task, unless the lease is gone."""
    place, ring = Place(lease.tenant, lease.id, _SEALED), ring_of(cursor)
    stored = [_sealed(line.text, line.fields, place, ring) for line in lines]
    given = {
        "id": lease.id,
        "token": lease.token,
        "attempt": lease.attempt,
        "offsets": [line.offset for line in lines],
        "ages": [line.age for line in lines],
        "texts": [text for text, _ in stored],
        "fields": [fields for _, fields in stored],
    }
    cursor.execute(_SQL["keep_lines"], given)


def _sealed(text: str, fields: str, place: Place, ring: KeyRing) -> tuple[str, str]:
    """Return text and fields as they are stored: sealed, both of them stand in the fields."""
    if ring.active is None:
        return text, ring.seal(fields, place)
    said = {"text": text, "fields": msgspec.Raw(fields.encode())}
    return "", ring.seal(msgspec.json.encode(said).decode(), place)


def renew(ring: KeyRing, row: dict[str, Any]) -> dict[str, Any]:
    """Return text and fields of a row as they are stored now."""
    place = Place(row["tenant"], row["id"], _SEALED)
    return dict(
        zip(("text", "fields"), _sealed(*_said(ring, row, place), place, ring), strict=True)
    )


def _said(ring: KeyRing, row: dict[str, Any], place: Place) -> tuple[str, str]:
    plain = ring.plain(row["fields"], place)
    if key_of(msgspec.json.decode(row["fields"])) is None:
        return row["text"], plain
    said = msgspec.json.decode(plain, type=dict[str, msgspec.Raw])
    return msgspec.json.decode(said["text"], type=str), bytes(said["fields"]).decode()


def line_of(row: dict[str, Any], ring: KeyRing) -> LogLine:
    """Return the line of a row; one that cannot be read says so in its text."""
    place = Place(row.pop("tenant"), row.pop("task_id"), _SEALED)
    if key_of(row["fields"]) is None:
        row["fields"] = ring.open(row["fields"], place)
    else:
        said = ring.told(row["fields"], place)
        row["text"] = said.get("text", said.get("message"))
        row["fields"] = said.get("fields", {})
    return LogLine(**row)


async def lines_after(connection: AsyncConnection, task_id: TaskId, after: int) -> list[LogLine]:
    """Return the lines of a task behind a number, in order."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        given = {"id": task_id, "after": after} | owned_by(connection)
        await cursor.execute(_SQL["list_lines"], given)
        return [line_of(row, connection.ring) for row in await cursor.fetchall()]
