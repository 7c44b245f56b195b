"""Taskyard itself: `taskyard up` on a deployment of the benchmark's own."""

import json
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import SplitResult, urlsplit
from uuid import UUID

import psycopg

from benchmarks.adapters import deployment
from benchmarks.adapters.deployment import BenchPool
from benchmarks.books import purge
from benchmarks.load import submit_in_batches
from benchmarks.systems import IDLE_WITHIN, clean_environment, descendants, log_file, paused
from taskyard.dev.processes import dies_with_us, stop, tail, wait_until

PROCESSES = BenchPool(name="bench", window=20_000)
_READY_WITHIN = 120.0
_STOP_WITHIN = 20.0
_FIRST = UUID(int=0)
# The peers refuse nobody: here, too, nobody is sent away for taking long or for waiting.
_WIDE = {
    "TASKYARD_SUBMIT_TARGET": "1m",
    "TASKYARD_LARGEST_BACKLOG": "100000000",
    "TASKYARD_LOG_LEVEL": "warning",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taskyard:
    """A running stack, of which one pool is looked at.

    Tasks whose ids are below `since` were there before, and stay.
    """

    name: str
    url: SplitResult
    process: subprocess.Popen[bytes]
    database: psycopg.Connection[Any]
    amqp_url: SplitResult
    headers: dict[str, str]
    pools: Sequence[BenchPool]
    since: UUID = _FIRST
    spread: bool = False  # whether `fill` gives each pool the same
    shows_results: bool = True

    @property
    def task_type(self) -> str:
        """The type of the first pool's task."""
        return self.pools[0].task_type

    def of(self, pool: BenchPool) -> "Taskyard":
        """Return the same stack, looked at for another of its pools."""
        others = [each for each in self.pools if each != pool]
        return replace(self, name=f"taskyard, {pool.execution}", pools=[pool, *others])

    @property
    def database_url(self) -> str:
        """Where its database is."""
        info = self.database.info
        return f"postgresql://{info.user}:{info.password}@{info.host}:{info.port}/{info.dbname}"

    def is_empty(self) -> bool:
        """Return whether there is no task at all."""
        return self.database.execute("SELECT FROM tasks LIMIT 1").fetchone() is None

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused(descendants(self.process.pid, marked="worker"))

    def has_ended(self, shown: dict[str, Any]) -> bool:
        """Return whether a task has its result."""
        return bool(shown["state"] == "succeeded")

    def unfinished(self) -> int:
        """Count the rows that wait or run."""
        return int(self._value("count(*)", "finished_at IS NULL"))

    def succeeded(self) -> int:
        """Count the rows with a result."""
        return int(self._value("count(*)", "state = 'succeeded'"))

    def last_result_at(self) -> datetime:
        """Return when the last result was written."""
        at: datetime = self._value("max(finished_at)", "true")
        return at

    def fill(self, count: int) -> None:
        """Submit in batches, and wait until the broker holds its window of them."""
        pools = self.pools if self.spread else self.pools[:1]
        for pool in pools:
            submit_in_batches(self.of(pool), count // len(pools))
        self._wait_settled("state = 'queued'", lambda queued: queued > 0)

    def clear(self) -> None:
        """Empty tables and queues, once what a departed client left under way has settled.

        A purge would else take the wake-up of a task that is stored after the TRUNCATE.
        """
        self._wait_settled("state IN ('pending', 'queued')", lambda _: True)
        if self.since == _FIRST:
            self.database.execute(_EMPTY)
        else:
            self.database.execute(_REMOVE_EVENTS, (self.since,))
            self.database.execute(_REMOVE, (self.since,))
            self.database.execute("VACUUM (ANALYZE) tasks, task_events")
        wait_until(self._queues_are_empty, within=IDLE_WITHIN, what="empty queues")

    def _wait_settled(self, condition: LiteralString, enough: Any) -> None:
        counts = deque([(-1, -1), (-2, -2), (-3, -3)], maxlen=3)

        def settled() -> bool:
            some, everything = self._value("count(*)", condition), self._value("count(*)", "true")
            counts.append((some, everything))
            return len(set(counts)) == 1 and enough(some)

        wait_until(settled, within=IDLE_WITHIN, what="what was under way")

    def _queues_are_empty(self) -> bool:
        return not sum(purge(self.amqp_url, f"taskyard.pool.{pool.name}") for pool in self.pools)

    def _value(self, expression: LiteralString, condition: LiteralString) -> Any:
        query = f"SELECT {expression} FROM tasks WHERE id >= %s AND {condition}"
        row = self.database.execute(query, (self.since,)).fetchone()
        return row[0] if row else None


_EMPTY = "TRUNCATE tasks, task_events, task_memos, idempotency_keys CASCADE"
_REMOVE = "DELETE FROM tasks WHERE id >= %s"
_REMOVE_EVENTS = "DELETE FROM task_events WHERE task_id >= %s"


@contextmanager
def start(
    *,
    folder: Path,
    database_url: str,
    amqp_url: str,
    api_workers: int,
    pools: Sequence[BenchPool] = (PROCESSES,),
    name: str = "taskyard",
) -> Iterator[Taskyard]:
    """Start the stack on given servers; stop it at the end."""
    settings = {
        "TASKYARD_DATABASE_URL": database_url,
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_API_WORKERS": str(api_workers),
    }
    process = _spawn(folder / name, log := log_file(folder, name), pools, settings)
    try:
        ready = _ready(process, log)
        with psycopg.connect(ready["database_url"], autocommit=True) as database:
            yield Taskyard(
                name=name,
                url=urlsplit(ready["api_url"]),
                process=process,
                database=database,
                amqp_url=urlsplit(ready["amqp_url"]),
                headers={"Authorization": f"Bearer {ready['api_key']}"},
                pools=pools,
            )
    finally:
        stop(process, signal.SIGTERM, within=_STOP_WITHIN)


def _spawn(
    folder: Path, log: Path, pools: Sequence[BenchPool], settings: dict[str, str]
) -> subprocess.Popen[bytes]:
    routing, workers = deployment.write(folder, pools)
    deployed = {"TASKYARD_ROUTING": str(routing), "TASKYARD_WORKERS": str(workers)}
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "taskyard", "up", "--json", "--folder", folder / "state"],
            env=clean_environment(**_WIDE, **deployed, **settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            start_new_session=True,
            preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - one system call, no lock
        )


def _ready(process: subprocess.Popen[bytes], log: Path) -> dict[str, str]:
    """Return what the ready line says."""
    if process.stdout is None:
        raise ValueError("the output of `taskyard up` is not piped")
    seen, _, _ = select.select([process.stdout], [], [], _READY_WITHIN)
    line = process.stdout.readline() if seen else b""
    if not line:
        raise ChildProcessError(f"`taskyard up` did not become ready; its log ends:\n{tail(log)}")
    found: dict[str, str] = json.loads(line)
    return found
