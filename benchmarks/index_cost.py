"""`python -m benchmarks.index_cost`: what an index of tasks costs each task.

Starts a Postgres of its own with a table of tasks as a yard has it, and a copy of it for each
index, without it. In alternating rounds the same tasks, with labels, are stored, marked queued,
claimed and finished; what counts is the CPU time of the connection's server process, and the log
it writes.
"""

import asyncio
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec
import psycopg
import typer
from uuid_utils.compat import uuid7

from benchmarks.seed import Seeding, seed
from taskyard.core.principal import TenantId
from taskyard.dev import postgres
from taskyard.storage.migrate import migrate
from taskyard.storage.pool import connect, connect_sync
from taskyard.storage.sql import queries

INDEXES = ("tasks_by_label", "tasks_of_kind", "tasks_of_tenant")
_ALL = "all"
_AT_ONCE = 50
_KINDS = (
    ("image.thumbnail", "media"),
    ("report.render", "documents"),
    ("table.summarize", "analysis"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one round, for each task: CPU time in microseconds by step, and bytes of the log."""

    steps: Mapping[str, float]
    wal: float

    @property
    def whole(self) -> float:
        """The CPU time of all steps."""
        return sum(self.steps.values())


@dataclass(slots=True)
class Lives:
    """Tasks that live on one connection to a database; `cpu` is read where the kernel counts it."""

    url: str
    made: int = 0
    connection: psycopg.Connection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = connect_sync(self.url, name="benchmark")
        self.connection.prepare_threshold = 0
        # It is the CPU time that counts: nobody has to wait for the disk.
        self.connection.execute("SET synchronous_commit = off")

    def cpu(self) -> float:
        """Return the CPU time that the connection's server process has used, in microseconds."""
        spent = Path(f"/proc/{self.connection.info.backend_pid}/schedstat").read_text().split()[0]
        return int(spent) / 1000

    def wal(self) -> int:
        """Return how far the log has come, in bytes."""
        row = self.connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchone()
        assert row is not None
        return int(row[0])

    def live(self, count: int) -> Cost:
        """Let so many tasks live, and return what each cost."""
        spent = dict.fromkeys(("store", "queue", "claim", "finish", "clean"), 0.0)
        wal = self.wal()
        for _ in range(count // _AT_ONCE):
            rows = self._rows()
            ids = [row["id"] for row in rows]
            began = self.cpu()
            self._run("tasks", "insert_tasks", {"rows": msgspec.json.encode(rows).decode()})
            stored = self.cpu()
            self._run("tasks", "mark_queued", {"ids": ids, "attempts": [0] * len(ids)})
            queued = self.cpu()
            spent["store"] += stored - began
            spent["queue"] += queued - stored
            self._work(rows, spent)
        began = self.cpu()
        # What an index has put off is part of its price.
        with suppress(psycopg.errors.UndefinedTable):
            self.connection.execute("SELECT gin_clean_pending_list('tasks_by_label')")
        spent["clean"] = self.cpu() - began
        return Cost({step: us / count for step, us in spent.items()}, (self.wal() - wal) / count)

    def _work(self, rows: Sequence[Mapping[str, object]], spent: dict[str, float]) -> None:
        for row in rows:
            token = uuid4()
            began = self.cpu()
            given = {"id": row["id"], "type": row["type"], "token": token, "worker": "w@host"}
            self._run("attempts", "claim", given)
            claimed = self.cpu()
            given = {"id": row["id"], "token": token, "result": '{"bytes": 4}'}
            self._run("attempts", "finish", given)
            spent["claim"] += claimed - began
            spent["finish"] += self.cpu() - claimed

    def _run(self, where: str, name: str, given: Mapping[str, object]) -> None:
        found = self.connection.execute(queries(where)[name], given).rowcount
        assert found > 0, name

    def _rows(self) -> list[dict[str, object]]:
        rows = []
        for _ in range(_AT_ONCE):
            self.made += 1
            kind, pool = _KINDS[self.made % len(_KINDS)]
            rows.append(
                {
                    "id": str(uuid7()), "tenant": TenantId("default"), "type": kind, "pool": pool,
                    "priority": 4, "args": {"source": f"inputs/{self.made}.png"},
                    "labels": {"team": f"team-{self.made % 20}", "order": f"new-{self.made}"},
                    "max_attempts": 3, "max_crashes": 3, "at_most_once": False, "watched": False,
                    "hold": 15.0,
                }
            )  # fmt: skip
        return rows


def copies(server: str, tasks: int) -> dict[str, str]:
    """Return the URLs of a seeded database with all indexes, and of one without each of them."""
    base = server.rsplit("/", 1)[0]
    urls = {name: f"{base}/cost_{number}" for number, name in enumerate((_ALL, *INDEXES))}
    whole = urls[_ALL]
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(b"CREATE DATABASE cost_0")
        asyncio.run(_schema(whole))
        open_ones = tasks // 10
        seed(whole, Seeding(tasks=tasks, open=open_ones, until=datetime.now(UTC)))
        for name, url in list(urls.items())[1:]:
            database = url.rsplit("/", 1)[1]
            connection.execute(f"CREATE DATABASE {database} TEMPLATE cost_0".encode())
            with psycopg.connect(url, autocommit=True) as copy:
                copy.execute(f"DROP INDEX IF EXISTS {name}".encode())
    return urls


async def _schema(url: str) -> None:
    async with await connect(url, name="benchmark") as connection:
        await migrate(connection)


def compare(urls: Mapping[str, str], rounds: int, count: int) -> dict[str, list[Cost]]:
    """Let tasks live in each database in turn, so often; a first round is not counted."""
    lives = {name: Lives(url) for name, url in urls.items()}
    costs: dict[str, list[Cost]] = {name: [] for name in urls}
    for number in range(rounds + 1):
        for name, each in lives.items():
            cost = each.live(count)
            if number:
                costs[name].append(cost)
    return costs


def show(costs: Mapping[str, Sequence[Cost]]) -> None:
    """Print the medians: of all indexes, and what each one adds."""

    def median(of: Sequence[float]) -> float:
        return statistics.median(of)

    for name, rounds in costs.items():
        steps = {step: median([each.steps[step] for each in rounds]) for step in rounds[0].steps}
        parts = ", ".join(f"{step} {us:.0f}" for step, us in steps.items())
        title = "with all indexes" if name == _ALL else f"without {name}"
        whole, wal = median([each.whole for each in rounds]), median([each.wal for each in rounds])
        print(f"{title}: {whole:.0f} us a task ({parts}), {wal:.0f} bytes of log")
    for name in list(costs)[1:]:
        pairs = list(zip(costs[_ALL], costs[name], strict=True))
        cpu = [a.whole - b.whole for a, b in pairs]
        wal = [a.wal - b.wal for a, b in pairs]
        shown = ", ".join(f"{each:.0f}" for each in cpu)
        print(f"{name} costs {median(cpu):.0f} us ({shown}) and {median(wal):.0f} bytes a task")


def main(
    tasks: Annotated[int, typer.Option(help="Tasks that are there.")] = 1_000_000,
    count: Annotated[int, typer.Option(help="Tasks that live in a round.")] = 5_000,
    rounds: Annotated[int, typer.Option(help="Rounds.")] = 5,
) -> None:
    """Measure."""
    with tempfile.TemporaryDirectory(prefix="taskyard-index-cost-") as folder:
        Path(folder).chmod(0o755)
        server = postgres.spawn(Path(folder))
        try:
            server.wait_ready()
            show(compare(copies(server.url(), tasks), rounds, count))
        finally:
            server.stop()


if __name__ == "__main__":
    typer.run(main)
