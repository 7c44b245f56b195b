"""How the tasks of a peer are counted, without asking its front or its workers."""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, LiteralString, Protocol
from urllib.parse import SplitResult

import amqp
import psycopg

_TALLY = struct.Struct("<qd")  # what peers/tally.py writes


class Books(Protocol):
    """What is known of a peer's tasks."""

    def unfinished(self) -> int:
        """Return how many accepted tasks have not ended."""
        ...

    def succeeded(self) -> int:
        """Return how many tasks have succeeded since the last `clear`."""
        ...

    def last_result_at(self) -> datetime:
        """Return when the last one succeeded, with its time zone."""
        ...

    def clear(self) -> None:
        """Forget every task, waiting or ended."""
        ...


@dataclass(frozen=True, slots=True)
class Tallies:
    """The files that a peer's processes count in."""

    folder: Path

    def count(self, name: str) -> int:
        """Return the sum of all processes."""
        return sum(count for count, _ in self._read(name))

    def last_at(self, name: str) -> datetime:
        """Return when any of them counted last."""
        return datetime.fromtimestamp(max(at for _, at in self._read(name)), UTC)

    def _read(self, name: str) -> list[tuple[int, float]]:
        contents = [path.read_bytes() for path in self.folder.glob(f"{name}-*")]
        return [_TALLY.unpack(each) for each in contents if len(each) == _TALLY.size]


@dataclass(slots=True, kw_only=True)
class TalliedBooks:
    """Of a peer that keeps no results: its processes count what they take and run."""

    tallies: Tallies
    amqp_url: SplitResult
    queue: str
    purged: int = 0
    run_before: int = 0  # the last `clear`

    def unfinished(self) -> int:
        """Count what was taken, is not purged and has not run."""
        return self.tallies.count("taken") - self.purged - self.tallies.count("run")

    def succeeded(self) -> int:
        """Count what has run."""
        return self.tallies.count("run") - self.run_before

    def last_result_at(self) -> datetime:
        """Return when the last task ran."""
        return self.tallies.last_at("run")

    def clear(self) -> None:
        """Empty the queue; what workers have in hand will still run."""
        self.purged += purge(self.amqp_url, self.queue)
        self.run_before = self.tallies.count("run")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultTable:
    """Where a peer keeps its results: how to count them, and when the last one was stored."""

    name: LiteralString
    is_result: LiteralString  # a condition
    stored_at: LiteralString  # an expression


@dataclass(slots=True, kw_only=True)
class ResultBooks:
    """Of a peer with results in Postgres and messages in RabbitMQ."""

    waiting: TalliedBooks
    database: psycopg.Connection[Any]
    table: ResultTable
    removed: int = 0

    def unfinished(self) -> int:
        """Count what was taken, is not purged and has no result."""
        taken = self.waiting.tallies.count("taken") - self.waiting.purged
        return taken - self.removed - self.succeeded()

    def succeeded(self) -> int:
        """Count the results."""
        return int(self._value(f"count(*) FILTER (WHERE {self.table.is_result})"))

    def last_result_at(self) -> datetime:
        """Return when the last one was stored."""
        at: datetime = self._value(f"max({self.table.stored_at})")
        return at

    def clear(self) -> None:
        """Empty the queue and the table, but for rows that a stopped worker has locked."""
        self.waiting.clear()
        name, condition = self.table.name, self.table.is_result
        free = f"SELECT id FROM {name} WHERE {condition} FOR UPDATE SKIP LOCKED"
        self.removed += self.database.execute(f"DELETE FROM {name} WHERE id IN ({free})").rowcount
        self.database.execute(f"VACUUM {name}")

    def _value(self, expression: LiteralString) -> Any:
        row = self.database.execute(f"SELECT {expression} FROM {self.table.name}").fetchone()
        return row[0] if row else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcrastinateBooks:
    """Of Procrastinate, whose queue and history are tables."""

    database: psycopg.Connection[Any]

    def unfinished(self) -> int:
        """Count the rows that wait or run."""
        return int(self._value(_UNFINISHED))

    def succeeded(self) -> int:
        """Count the rows that have succeeded."""
        return int(self._value(_SUCCEEDED))

    def last_result_at(self) -> datetime:
        """Return when the last one succeeded."""
        at: datetime = self._value(_LAST_AT)
        return at

    def clear(self) -> None:
        """Remove every row, but for those that a stopped worker has locked."""
        self.database.execute(_REMOVE)
        self.database.execute("VACUUM procrastinate_jobs, procrastinate_events")

    def _value(self, query: LiteralString) -> Any:
        row = self.database.execute(query).fetchone()
        return row[0] if row else None


_REMOVE = """
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT id FROM procrastinate_jobs WHERE status <> 'doing' FOR UPDATE SKIP LOCKED)"""
_UNFINISHED = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
_SUCCEEDED = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'"
_LAST_AT = "SELECT max(at) FROM procrastinate_events WHERE type = 'succeeded'"


def purge(url: SplitResult, queue: str) -> int:
    """Empty a queue; return how many messages it held."""
    with amqp.Connection(
        f"{url.hostname}:{url.port}",
        userid=url.username,
        password=url.password,
        virtual_host=url.path.removeprefix("/"),
    ) as connection:
        return int(connection.channel().queue_purge(queue))
