"""`python -m benchmarks.retention`: what removing ended tasks costs, and what partitions would.

Starts a Postgres of its own. Latencies are those of insert, claim and finish as the product says
them, on one connection, in alternating rounds of one run: medians over all rounds.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import psycopg
import typer
from uuid_utils.compat import uuid7

from taskyard.core.retention import first_id_at
from taskyard.core.routing import RoutingTable
from taskyard.core.task import TaskId
from taskyard.dev import postgres
from taskyard.services.retain import retain
from taskyard.storage.migrate import migrate
from taskyard.storage.pool import connect, connect_sync, open_pool
from taskyard.storage.sql import queries

TABLE = RoutingTable(pools={}, defaults={})  # every type has the default retention: 7 days
_OLD = 8 * 86400  # seconds: the youngest of the ended tasks is a day past its retention
_SPAN = 22 * 86400  # and the oldest was made so much earlier
_EVENTS = ("pending", "queued", "running", "succeeded")

# Ids in the order of time, as UUIDv7: 48 bits of milliseconds, then chance.
FILL = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, event_seq, attempt, created_at,
                   due_at, publish_at, queued_at, started_at, finished_at, worker, args, result)
SELECT id, 'image.thumbnail', 'media', 4, 'succeeded', 5, 4, 1, at, at, at, at, at, at, 'w@host',
       '{"source": "inputs/coffee.png", "width": 128, "height": 128, "quality": 85}',
       '{"file": "outputs/coffee-128.jpg", "bytes": 4554, "width": 128, "height": 85}'
FROM (
    SELECT at, (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7'
                || substr(md5(random()::text), 1, 3) || '8'
                || substr(md5(random()::text), 1, 15))::uuid AS id
    FROM (SELECT now() - %(old)s * interval '1 second'
                 - (%(span)s * (1 - n::float8 / %(rows)s)) * interval '1 second' AS at
          FROM generate_series(1, %(rows)s) AS n) AS times
) AS made"""
FILL_EVENTS = """
INSERT INTO task_events (task_id, seq, at, state, attempt, worker)
SELECT id, seq, created_at, event.state, CASE WHEN seq > 2 THEN 1 ELSE 0 END,
       CASE WHEN seq > 2 THEN 'w@host' END
FROM tasks, unnest(%(states)s::text[]) WITH ORDINALITY AS event (state, seq)
WHERE NOT EXISTS (SELECT FROM task_events WHERE task_id = tasks.id)"""


def new_database(server: str, prepare: Callable[[psycopg.Connection], None] | None = None) -> str:
    """Make a migrated database, changed by `prepare`; return its URL."""
    name = f"retention_{uuid4().hex[:8]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = server.rsplit("/", 1)[0] + f"/{name}"

    async def schema() -> None:
        async with await connect(url, name="benchmark") as connection:
            await migrate(connection)

    asyncio.run(schema())
    if prepare:
        with psycopg.connect(url) as connection:
            prepare(connection)
    return url


def fill(url: str, rows: int) -> None:
    """Store ended tasks with four events each, past their retention."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # history is made below
        connection.execute(FILL, {"rows": rows, "old": _OLD, "span": _SPAN})
        connection.execute(FILL_EVENTS, {"states": list(_EVENTS)})
        connection.execute("VACUUM (ANALYZE)")


def partition_by_day(days: int) -> Callable[[psycopg.Connection], None]:
    """Return what makes both tables partitioned by the day of the id, today the last but one."""

    def prepare(connection: psycopg.Connection) -> None:
        for table, key in (("tasks", "id"), ("task_events", "task_id")):
            connection.execute(
                f"CREATE TABLE parted (LIKE {table} INCLUDING ALL EXCLUDING STORAGE) "
                f"PARTITION BY RANGE ({key})".encode()
            )
            if table == "tasks":
                connection.execute(_TRIGGERS.encode())
            connection.execute(f"DROP TABLE {table} CASCADE".encode())
            connection.execute(f"ALTER TABLE parted RENAME TO {table}".encode())
            for day in range(days):
                low, high = (_first_of(2 - days + day + n) for n in (0, 1))
                connection.execute(
                    f"CREATE TABLE {table}_{day} PARTITION OF {table} "
                    f"FOR VALUES FROM ('{low}') TO ('{high}')".encode()
                )

    return prepare


_TRIGGERS = """
CREATE TRIGGER tasks_submitted AFTER INSERT ON parted REFERENCING NEW TABLE AS submitted
    FOR EACH STATEMENT EXECUTE FUNCTION record_submissions();
CREATE TRIGGER tasks_moved BEFORE UPDATE OF state ON parted
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION record_transition();"""


def _first_of(day: int) -> str:
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return str(first_id_at(midnight + timedelta(days=day)))


class Lives:
    """Tasks that are stored, claimed and finished, one after the other, on one connection."""

    def __init__(self, url: str) -> None:
        self._connection = connect_sync(url, name="benchmark")
        self._connection.prepare_threshold = 0
        self._cursor = self._connection.cursor()
        self.latencies: dict[str, list[float]] = {"insert": [], "claim": [], "finish": []}

    def live(self, seconds: float, into: dict[str, list[float]] | None = None) -> None:
        """Run tasks for so long."""
        deadline = time.perf_counter() + seconds
        times = self.latencies if into is None else into
        while time.perf_counter() < deadline:
            task, token = TaskId(uuid7()), uuid4()
            for name, statement, given in self._statements(task, token):
                began = time.perf_counter()
                self._cursor.execute(statement, given)
                times[name].append(time.perf_counter() - began)
                assert self._cursor.rowcount == 1, name

    @staticmethod
    def _statements(task: TaskId, token: object) -> Iterator[tuple[str, str, dict[str, object]]]:
        attempts = queries("attempts")
        yield "insert", queries("tasks")["insert_tasks"], _submission(task)
        yield "claim", attempts["claim"], {
            "id": task, "type": "image.thumbnail", "token": token, "worker": "w@host",
        }  # fmt: skip
        yield "finish", attempts["finish"], {"id": task, "token": token, "result": '{"bytes": 4}'}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _submission(task: TaskId) -> dict[str, object]:
    one: dict[str, object] = {
        "ids": task, "types": "image.thumbnail", "pools": "media", "priorities": 4,
        "args": '{"source": "inputs/coffee.png"}', "labels": "{}", "max_attempts": 5,
        "max_crashes": 3, "at_most_once": False, "delays": None, "run_ats": None,
        "expires_ins": None, "deadlines": None, "holds": 15.0,
    }  # fmt: skip
    return {name: [value] for name, value in one.items()}


def medians(times: dict[str, list[float]]) -> str:
    """Return the medians and 99th percentiles in milliseconds."""
    return ", ".join(
        f"{name} {statistics.median(each) * 1e3:.3f} (p99 "
        f"{statistics.quantiles(each, n=100)[98] * 1e3:.2f})"
        for name, each in times.items()
    )


def size(url: str) -> str:
    """Return the size of both tables with their indexes."""
    with psycopg.connect(url) as connection:
        shown = []
        for table in ("tasks", "task_events"):
            row = connection.execute(
                "SELECT pg_total_relation_size(%s::regclass) / 1048576", (table,)
            ).fetchone()
            assert row is not None
            shown.append(f"{table} {row[0]} MiB")
        return ", ".join(shown)


def vacuumed(url: str, *, within: float = 300) -> float:
    """Wait until autovacuum has been at both tables; return the seconds it took."""
    began = time.perf_counter()
    with psycopg.connect(url, autocommit=True) as connection:
        while time.perf_counter() < began + within:
            row = connection.execute(_DEAD).fetchone()
            if row and row[0] == 0:
                break
            time.sleep(1)
    return time.perf_counter() - began


_DEAD = """
SELECT count(*) FROM pg_stat_user_tables
WHERE relname IN ('tasks', 'task_events') AND n_dead_tup > 10000"""


async def sweep_whole(url: str) -> tuple[int, float]:
    """Remove all that is over; return how many and the seconds it took."""
    async with open_pool(url, name="sweep", size=2) as pool:
        began = time.perf_counter()
        removed = await retain(pool, TABLE, now=datetime.now(UTC))
        return removed, time.perf_counter() - began


@contextmanager
def sweeping(url: str) -> Iterator[None]:
    """Sweep beside the body, in a process of its own, and stop with the body."""
    process = multiprocessing.get_context("spawn").Process(target=_sweep_forever, args=(url,))
    process.start()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            while connection.execute(_AT_WORK).fetchone() is None:
                time.sleep(0.01)
        yield
    finally:
        process.kill()
        process.join()


_AT_WORK = "SELECT FROM pg_stat_activity WHERE application_name = 'taskyard sweep' AND query <> ''"


def _sweep_forever(url: str) -> None:
    with suppress(KeyboardInterrupt):
        asyncio.run(sweep_whole(url))


def beside(url: str, rounds: int, seconds: float) -> None:
    """Print latencies without and with a sweep beside, in alternating rounds."""
    lives = Lives(url)
    with_sweep: dict[str, list[float]] = {name: [] for name in lives.latencies}
    lives.live(2, {name: [] for name in lives.latencies})
    for _ in range(rounds):
        lives.live(seconds)
        with sweeping(url):
            lives.live(seconds, with_sweep)
    print("latency in ms, alone:      ", medians(lives.latencies))
    print("latency in ms, with sweep: ", medians(with_sweep))
    lives.close()


def partitions(server: str, rounds: int, seconds: float) -> None:
    """Print latencies on plain tables and on tables with 8 and 30 daily partitions."""
    kinds = {"plain": None, "8 partitions": 8, "30 partitions": 30}
    lives = {
        name: Lives(new_database(server, partition_by_day(days) if days else None))
        for name, days in kinds.items()
    }
    for each in lives.values():
        each.live(2, {name: [] for name in each.latencies})
    for _ in range(rounds):
        for each in lives.values():
            each.live(seconds)
    for name, each in lives.items():
        print(f"latency in ms, {name:13}:", medians(each.latencies))
        each.close()


def main(
    rows: Annotated[int, typer.Option(help="Ended tasks.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(help="Pairs of rounds.")] = 5,
    seconds: Annotated[float, typer.Option(help="How long a round takes.")] = 3.0,
) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="taskyard-retention-") as folder:
        Path(folder).chmod(0o755)
        server = postgres.spawn(Path(folder))
        try:
            server.wait_ready()
            partitions(server.url(), rounds, seconds)
            url = new_database(server.url())
            fill(url, rows)
            print(f"size with {rows} ended tasks:", size(url))
            beside(url, rounds, seconds)
            left = asyncio.run(sweep_whole(url))
            print(f"removed the last {left[0]} in {left[1]:.1f} s: {left[0] / left[1]:.0f} rows/s")
            print("size when all are removed:", size(url))
            print(f"autovacuum was done {vacuumed(url):.0f} s later:", size(url))
            fill(url, rows)
            print(f"size with {rows} new ones:", size(url))
        finally:
            server.stop()


if __name__ == "__main__":
    typer.run(main)
