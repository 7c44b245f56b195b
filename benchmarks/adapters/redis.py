"""Redis for the peer that keeps everything in it."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from benchmarks.books import Tallies
from benchmarks.systems import clean_environment, log_file
from taskyard.dev.processes import free_port, is_free, spawn, stop, wait_until

_READY_WITHIN = 30.0
_STOP_WITHIN = 10.0
# kombu's names in Redis: the queue, and what was handed out and not acknowledged.
_QUEUE_KEYS = ("celery", "unacked", "unacked_index")


@dataclass(slots=True, kw_only=True)
class RedisBooks:
    """Of Celery on Redis: what waits is asked of Redis, what has run is tallied."""

    port: int
    tallies: Tallies
    run_before: int = 0  # the last `clear`

    def unfinished(self) -> int:
        """Count what waits in the queue and what workers have in hand."""
        return int(self._ask("LLEN", "celery")) + int(self._ask("HLEN", "unacked"))

    def succeeded(self) -> int:
        """Count what has run."""
        return self.tallies.count("run") - self.run_before

    def last_result_at(self) -> datetime:
        """Return when the last task ran: its result follows within a millisecond."""
        return self.tallies.last_at("run")

    def clear(self) -> None:
        """Empty the queue. Results are small, and Celery lets them expire."""
        self._ask("DEL", *_QUEUE_KEYS)
        self.run_before = self.tallies.count("run")

    def _ask(self, *command: str) -> str:
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@contextmanager
def running_redis(folder: Path) -> Iterator[int]:
    """Start Redis on a free port, and return that; stop it at the end.

    Persistence is Redis' default: snapshots now and then, so an accepted task may be lost.
    """
    data = (folder / "redis").resolve()
    shutil.rmtree(data, ignore_errors=True)  # the tasks of an earlier run are not this one's
    data.mkdir(parents=True)
    port = free_port()
    with log_file(folder, "peer-redis").open("wb") as output:
        server = spawn(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", data],
            env=clean_environment(),
            output=output,
        )
    try:
        wait_until(lambda: not is_free(port), within=_READY_WITHIN, what="Redis")
        yield port
    finally:
        stop(server, signal.SIGTERM, within=_STOP_WITHIN)
