"""A limit: Celery on RabbitMQ that keeps no results, without a front."""

import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import urlsplit

from benchmarks.adapters.peer import Place
from benchmarks.books import TalliedBooks, Tallies
from benchmarks.systems import descendants, paused, wait_idle

_CODE = "celery_no_results"


@dataclass(frozen=True, slots=True, kw_only=True)
class CeleryAlone:
    """The running worker."""

    name: str
    place: Place
    variables: dict[str, str]
    worker: subprocess.Popen[bytes]
    books: TalliedBooks

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused(descendants(self.worker.pid))

    def fill(self, count: int) -> None:
        """Queue so many tasks."""
        self.place.run(_CODE, ["python", "tasks.py", str(count)], self.variables)

    def unfinished(self) -> int:
        """Count what has not run."""
        return self.books.unfinished()

    def succeeded(self) -> int:
        """Count what has run since the last `clear`."""
        return self.books.succeeded()

    def last_result_at(self) -> datetime:
        """Return when the last task ran."""
        return self.books.last_result_at()

    def clear(self) -> None:
        """Forget every task."""
        self.books.clear()


@contextmanager
def start(
    place: Place, *, amqp_url: str, pool: Literal["prefork", "threads"]
) -> Iterator[CeleryAlone]:
    """Start a worker with 4 processes or threads; stop it at the end."""
    tallies = place.fresh_tallies(f"{_CODE}_{pool}")
    variables = {"PEER_AMQP_URL": amqp_url, "PEER_TALLIES": str(tallies)}
    books = TalliedBooks(tallies=Tallies(tallies), amqp_url=urlsplit(amqp_url), queue="celery")
    command = ["celery", "--app", "tasks", "worker", "--pool", pool]
    more = ["--concurrency", "4", "--loglevel", "warning"]
    with place.running(_CODE, pool, [*command, *more], variables) as worker:
        system = CeleryAlone(
            name=f"limit: celery with no results, 4 {'processes' if pool == 'prefork' else pool}",
            place=place,
            variables=variables,
            worker=worker,
            books=books,
        )
        system.fill(1)
        wait_idle(system)  # the worker is ready when it has run a task
        yield system
