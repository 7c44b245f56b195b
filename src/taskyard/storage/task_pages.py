"""Pages of tasks, bounded by rows and by bytes: what does not fit is never read."""

from dataclasses import dataclass
from typing import Any, LiteralString

from taskyard.core.task import Task
from taskyard.storage.opened import LISTED, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by

# Of arguments, results, errors and progress as text. A task that is larger comes alone.
MOST_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Page:
    """Tasks in order, and whether more follow behind the last."""

    tasks: list[Task]
    more: bool


async def read_page(
    connection: AsyncConnection,
    statement: LiteralString,
    wanted: dict[str, Any],
    *,
    limit: int | None,
    most_bytes: int = MOST_BYTES,
) -> Page:
    """Return the page that a statement finds, of up to `limit` tasks and so many bytes.

    Without a limit, `more` says only that not all of them fit. What cannot be opened
    says why in its place.
    """
    given = wanted | {"limit": limit, "bytes": most_bytes} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(_row, LISTED)) as cursor:
        await cursor.execute(statement, given)
        rows = await cursor.fetchall()
    found = [task for _, task in rows]
    more = bool(rows) and (len(rows) == limit or len(rows) < rows[0][0])
    return Page(found, more)


def _row(*, matching: int, **task: Any) -> tuple[int, Task]:
    return matching, Task(**task)
