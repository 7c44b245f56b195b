"""The second peer: Celery on RabbitMQ with its database result backend and track_started."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.systems import (
    clean_environment,
    descendants,
    log_file,
    paused,
    wait_idle,
)
from taskyard.dev.processes import spawn, stop

_CODE = Path(__file__).parents[1] / "peers" / "celery_database"
_STOP_WITHIN = 10.0


@dataclass(kw_only=True)
class CeleryDatabase:
    """The running worker. `queued` counts the tasks since the last `clear`."""

    environment: Path
    variables: dict[str, str]
    database: psycopg.Connection[Any]
    worker: subprocess.Popen[bytes]
    name: str = "celery + rabbitmq + database results"
    queued: int = 0

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused(descendants(self.worker.pid, marked="worker", and_itself=True))

    def fill(self, count: int) -> None:
        """Queue so many tasks."""
        _fill(self.environment, self.variables, count)
        self.queued += count

    def unfinished(self) -> int:
        """Count the tasks without a result."""
        return self.queued - self.succeeded()

    def succeeded(self) -> int:
        """Count the rows with a result."""
        return int(self._value("SELECT count(*) FROM celery_taskmeta WHERE status = 'SUCCESS'"))

    def last_result_at(self) -> datetime:
        """Return when the last result was written; Celery keeps UTC without saying so."""
        at: datetime = self._value("SELECT max(date_done) FROM celery_taskmeta")
        return at.replace(tzinfo=UTC)

    def clear(self) -> None:
        """Forget the results, once the last one is there."""
        if self.queued:
            wait_idle(self)
            self.database.execute("TRUNCATE celery_taskmeta")
            self.queued = 0

    def _value(self, query: str) -> Any:
        row = self.database.execute(query).fetchone()
        return row[0] if row else None


@contextmanager
def start(
    *, folder: Path, environment: Path, database_url: str, amqp_url: str
) -> Iterator[CeleryDatabase]:
    """Start a worker with 2 processes on given servers; stop it at the end."""
    variables = clean_environment(PEER_AMQP_URL=amqp_url, PEER_DATABASE_URL=database_url)
    # One task before the worker is there makes Celery's tables; two would do it at once.
    _fill(environment, variables, 1)
    celery = environment / "bin" / "celery"
    with log_file(folder, "peer-celery-database").open("wb") as output:
        worker = spawn(
            [celery, "--app", "tasks", "worker", "--concurrency", "4", "--loglevel", "warning"],
            env=variables,
            output=output,
            cwd=_CODE,
        )
    try:
        with psycopg.connect(database_url, autocommit=True) as database:
            system = CeleryDatabase(
                environment=environment,
                variables=variables,
                database=database,
                worker=worker,
                queued=1,
            )
            system.clear()  # the worker is ready when it has run a task
            yield system
    finally:
        stop(worker, signal.SIGTERM, within=_STOP_WITHIN)


def _fill(environment: Path, variables: dict[str, str], count: int) -> None:
    subprocess.run(
        [environment / "bin" / "python", "tasks.py", str(count)],
        check=True,
        env=variables,
        cwd=_CODE,
    )
