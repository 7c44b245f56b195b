"""Taskyard itself: `taskyard up` on the benchmark's own deployment."""

import json
import select
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import amqp
import psycopg

from benchmarks.load import submit_batches
from benchmarks.systems import (
    IDLE_WITHIN,
    clean_environment,
    descendants,
    log_file,
    paused,
)
from taskyard.dev.processes import dies_with_us, stop, tail, wait_until

_DEPLOYMENT = Path(__file__).parents[1] / "deployment"
_QUEUE = "taskyard.pool.bench"
_READY_WITHIN = 120.0
_STOP_WITHIN = 20.0
_LARGEST_BATCH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Taskyard:
    """A running stack."""

    url: SplitResult
    process: subprocess.Popen[bytes]
    database: psycopg.Connection[Any]
    amqp_url: SplitResult
    headers: dict[str, str]
    name: str = "taskyard"

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused(descendants(self.process.pid, marked="worker"))

    def has_ended(self, shown: dict[str, Any]) -> bool:
        """Return whether a task has its result."""
        return bool(shown["state"] == "succeeded")

    def unfinished(self) -> int:
        """Count the rows that wait or run."""
        return self._number("SELECT count(*) FROM tasks WHERE finished_at IS NULL")

    def succeeded(self) -> int:
        """Count the rows with a result."""
        return self._number("SELECT count(*) FROM tasks WHERE state = 'succeeded'")

    def last_result_at(self) -> datetime:
        """Return when the last result was written."""
        row = self.database.execute("SELECT max(finished_at) FROM tasks").fetchone()
        return row[0]  # type: ignore[no-any-return, index]

    def fill(self, count: int) -> None:
        """Submit in batches, and wait until the broker holds its window of them."""
        for begin in range(0, count, _LARGEST_BATCH):
            submit_batches(self, size=min(_LARGEST_BATCH, count - begin), batches=1)
        counts = deque([-1, -2, -3], maxlen=3)

        def settled() -> bool:
            counts.append(self._number("SELECT count(*) FROM tasks WHERE state = 'queued'"))
            return counts[-1] > 0 and len(set(counts)) == 1

        wait_until(settled, within=IDLE_WITHIN, what="the broker to hold what it may")

    def clear(self) -> None:
        """Empty tables and queue, once what a departed client left under way has settled.

        A purge would else take the wake-up of a task that is stored after the TRUNCATE.
        """
        counts = deque([(-1, 0), (-2, 0), (-3, 0)], maxlen=3)

        def settled() -> bool:
            queued = self._number("SELECT count(*) FROM tasks WHERE state = 'queued'")
            counts.append((self._number("SELECT count(*) FROM tasks"), queued))
            return len(set(counts)) == 1

        wait_until(settled, within=IDLE_WITHIN, what="what was under way")
        self.database.execute("TRUNCATE tasks, task_events, task_memos, idempotency_keys CASCADE")
        wait_until(self._queue_is_empty, within=IDLE_WITHIN, what="an empty queue")

    def _queue_is_empty(self) -> bool:
        url = self.amqp_url
        with amqp.Connection(
            f"{url.hostname}:{url.port}",
            userid=url.username,
            password=url.password,
            virtual_host=url.path.removeprefix("/"),
        ) as connection:
            return bool(connection.channel().queue_purge(_QUEUE) == 0)

    def _number(self, query: str) -> int:
        row = self.database.execute(query).fetchone()
        return int(row[0]) if row else 0


@contextmanager
def start(
    *, folder: Path, database_url: str, amqp_url: str, api_workers: int
) -> Iterator[Taskyard]:
    """Start the stack on given servers; stop it at the end."""
    log = log_file(folder, "taskyard")
    process = _spawn(
        folder,
        log,
        TASKYARD_ROUTING=str(_DEPLOYMENT / "routing"),
        TASKYARD_WORKERS=str(_DEPLOYMENT / "workers"),
        TASKYARD_DATABASE_URL=database_url,
        TASKYARD_AMQP_URL=amqp_url,
        TASKYARD_API_WORKERS=str(api_workers),
        TASKYARD_LOG_LEVEL="warning",
    )
    try:
        ready = _ready(process, log)
        with psycopg.connect(ready["database_url"], autocommit=True) as database:
            system = Taskyard(
                url=urlsplit(ready["api_url"]),
                process=process,
                database=database,
                amqp_url=urlsplit(ready["amqp_url"]),
                headers={"Authorization": f"Bearer {ready['api_key']}"},
            )
            system.clear()  # what an earlier run left unfinished would be waited for
            yield system
    finally:
        stop(process, signal.SIGTERM, within=_STOP_WITHIN)


def _spawn(folder: Path, log: Path, **settings: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "taskyard", "up", "--json", "--folder", folder / "taskyard"],
            env=clean_environment(**settings),
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
