"""Rows in order, up to so many bytes: of what does not fit little is read, and nothing returned."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, LiteralString, TypeVar

from taskyard.storage.opened import AnyCursor, RowMaker
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.task_pages import MOST_BYTES

T = TypeVar("T")

_FIRST, _MOST_ROWS = 8, 256  # fetched at once; a row has two mebibytes at most


@dataclass(frozen=True, slots=True)
class Bounded(Generic[T]):
    """Rows in order, and whether more may follow behind the last."""

    rows: list[T]
    more: bool


async def up_to(
    connection: AsyncConnection,
    statement: LiteralString,
    given: dict[str, Any],
    factory: Callable[[AnyCursor], RowMaker[T]],
    *,
    size: Callable[[T], int],
    most_bytes: int = MOST_BYTES,
) -> Bounded[T]:
    """Return what a statement with a `limit` finds, as far as `most_bytes` go; never less than one.

    `size` tells the bytes of a row. The connection has to be in a transaction.
    """
    rows: list[T] = []
    taken, some = 0, _FIRST
    async with connection.cursor("bounded", row_factory=factory) as cursor:
        await cursor.execute(statement, given)
        while found := await cursor.fetchmany(some):
            for row in found:
                taken += size(row)
                if rows and taken > most_bytes:
                    return Bounded(rows, more=True)
                rows.append(row)
            left = (most_bytes - taken) * len(rows) // max(1, taken)
            some = min(_MOST_ROWS, max(1, left))
    return Bounded(rows, more=len(rows) == given["limit"])
