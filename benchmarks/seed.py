"""`python -m benchmarks.seed URL`: fill a migrated database with tasks as a yard has them.

Tasks in every state with history, labels and errors, of three tenants, the youngest of them not
ended yet. The same numbers make the same rows, whatever the machine.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated
from uuid import UUID

import psycopg
import typer

from taskyard.core.retention import first_id_at
from taskyard.core.states import State
from taskyard.storage.sql import queries

_SQL = queries("seed", package="benchmarks")
_ROWS_AT_ONCE = 25_000
_CONNECTIONS = 2
# Triggers would write the history of today, and the checks of what is right by its making.
_BEFORE = "SET session_replication_role = replica; SET synchronous_commit = off; SET jit = off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeding:
    """What to make: so many tasks over `span` up to `until`, the youngest `open` not ended.

    With `only`, all are in that state.
    """

    tasks: int
    open: int
    until: datetime
    span: timedelta = timedelta(days=6)  # within the default retention
    only: State | None = None


def seed(url: str, wanted: Seeding) -> None:
    """Store the tasks and their history, and gather statistics."""
    starts = [*range(0, wanted.tasks, _ROWS_AT_ONCE), wanted.tasks]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_SQL["seed_tenants"])
        with ThreadPoolExecutor(_CONNECTIONS) as threads:
            done = [
                threads.submit(_part, url, wanted, low + 1, high) for low, high in pairwise(starts)
            ]
            for each in done:
                each.result()
        connection.execute("VACUUM (ANALYZE) tasks, task_events, tenants")


def _part(url: str, wanted: Seeding, low: int, high: int) -> None:
    given = {
        "low": low, "high": high, "tasks": wanted.tasks, "open": wanted.open,
        "until": wanted.until, "span": wanted.span, "only": wanted.only,
    }  # fmt: skip
    with psycopg.connect(url) as connection:
        connection.execute(_BEFORE)
        connection.execute(_SQL["seed_lives"])
        connection.execute(_SQL["seed_error"])
        connection.execute(_SQL["seed_tasks"], given)
        edges = {"after": _edge(wanted, low), "last": _edge(wanted, high + 1)}
        connection.execute(_SQL["seed_events"], edges)


def _edge(wanted: Seeding, number: int) -> UUID:
    """Return an id below that of a numbered task, and above those before."""
    return first_id_at(wanted.until - (wanted.tasks - number + 1) * wanted.span / wanted.tasks)


def main(
    url: Annotated[str, typer.Argument(help="A database that has the schema and no tasks.")],
    tasks: Annotated[int, typer.Option(help="How many tasks.", min=1)] = 1_000_000,
    not_ended: Annotated[int, typer.Option(help="Of them, how many wait or run.", min=0)] = 100_000,
    only: Annotated[State | None, typer.Option(help="All of them in this state.")] = None,
    until: Annotated[datetime | None, typer.Option(help="When the last came; else now.")] = None,
) -> None:
    """Fill a database."""
    end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
    began = time.perf_counter()
    seed(url, Seeding(tasks=tasks, open=not_ended, until=end, only=only))
    print(f"{tasks:,} tasks in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    typer.run(main)
