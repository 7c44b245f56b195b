"""The first peer: Flask on gunicorn with 2 workers, Celery with 2 processes, Redis for both."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult
from urllib.request import urlopen

from benchmarks.load import round_trips
from benchmarks.systems import (
    clean_environment,
    descendants,
    log_file,
    loopback,
    paused,
)
from taskyard.dev.processes import free_port, spawn, stop, tail, wait_until

_CODE = Path(__file__).parents[1] / "peers" / "flask_celery_redis"
_Command = Sequence[str | Path]

_READY_WITHIN = 30.0
_STOP_WITHIN = 10.0
# kombu's names in Redis: the queue, and what was handed out and not acknowledged.
_QUEUE_KEYS = ("celery", "unacked", "unacked_index")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlaskCeleryRedis:
    """The running service."""

    url: SplitResult
    redis_port: int
    worker: subprocess.Popen[bytes]
    headers: dict[str, str] = field(default_factory=dict)
    name: str = "flask + celery + redis"

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused(descendants(self.worker.pid, marked="worker", and_itself=True))

    def has_ended(self, shown: dict[str, Any]) -> bool:
        """Return whether a task has its result."""
        return bool(shown["state"] == "SUCCESS")

    def unfinished(self) -> int:
        """Count what waits in the queue and what workers have in hand."""
        return int(self._redis("LLEN", "celery")) + int(self._redis("HLEN", "unacked"))

    def clear(self) -> None:
        """Empty the queue. Results are small, and Celery lets them expire."""
        self._redis("DEL", *_QUEUE_KEYS)

    def _redis(self, *command: str) -> str:
        done = subprocess.run(
            ["redis-cli", "-p", str(self.redis_port), *command],
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()


@contextmanager
def start(*, folder: Path, environment: Path) -> Iterator[FlaskCeleryRedis]:
    """Start Redis, Celery and gunicorn on free ports; stop them at the end."""
    redis_port, url = free_port(), loopback(free_port())
    programs = environment / "bin"
    data = (folder / "redis").resolve()
    shutil.rmtree(data, ignore_errors=True)  # the tasks of an earlier run are not this one's
    data.mkdir(parents=True)
    # Persistence is Redis' default: snapshots now and then, so an accepted task may be lost.
    redis: _Command = [
        "redis-server",
        "--port",
        str(redis_port),
        "--bind",
        "127.0.0.1",
        "--dir",
        data,
    ]
    celery: _Command = [programs / "celery", "--app", "tasks", "worker", "--concurrency", "4"]
    gunicorn: _Command = [programs / "gunicorn", "--no-control-socket", "--workers", "2"]
    with ExitStack() as stack:

        def run(name: str, *argv: str | Path) -> subprocess.Popen[bytes]:
            process = _spawn(argv, log_file(folder, f"peer-{name}"), redis_port=redis_port)
            stack.callback(stop, process, signal.SIGTERM, within=_STOP_WITHIN)
            return process

        run("redis", *redis)
        worker = run("celery", *celery, "--loglevel", "warning")
        run("gunicorn", *gunicorn, "--bind", url.netloc, "service:app")
        _wait_serving(url, log_file(folder, "peer-gunicorn"))
        system = FlaskCeleryRedis(url=url, redis_port=redis_port, worker=worker)
        round_trips(system, count=1)  # the worker is ready when it has run a task
        yield system


def _spawn(argv: _Command, log: Path, *, redis_port: int) -> subprocess.Popen[bytes]:
    environment = clean_environment(PEER_REDIS_URL=f"redis://127.0.0.1:{redis_port}/0")
    with log.open("wb") as output:
        return spawn(argv, env=environment, output=output, cwd=_CODE)


def _wait_serving(url: SplitResult, log: Path) -> None:
    try:
        wait_until(lambda: _serves(url), within=_READY_WITHIN, what="gunicorn")
    except TimeoutError as error:
        raise TimeoutError(f"{error}; its log ends:\n{tail(log)}") from None


def _serves(url: SplitResult) -> bool:
    try:
        with urlopen(f"{url.geturl()}/livez", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
