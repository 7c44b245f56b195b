"""The first peer: Flask on gunicorn with 2 workers, Celery with 2 processes, Redis for both."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
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
    with ExitStack() as stack:
        redis_port, http_port = free_port(), free_port()
        data = folder / "redis"
        shutil.rmtree(data, ignore_errors=True)  # the tasks of an earlier run are not this one's
        data.mkdir(parents=True)

        def run(name: str, *argv: str | Path) -> subprocess.Popen[bytes]:
            log = log_file(folder, f"peer-{name}")
            with log.open("wb") as output:
                process = spawn(
                    argv,
                    env=clean_environment(PEER_REDIS_URL=f"redis://127.0.0.1:{redis_port}/0"),
                    output=output,
                    cwd=_CODE,
                )
            stack.callback(stop, process, signal.SIGTERM, within=_STOP_WITHIN)
            return process

        # Persistence is Redis' default: snapshots now and then, so an accepted task may be lost.
        run("redis", "redis-server", "--port", str(redis_port), "--bind", "127.0.0.1",
            "--dir", data.resolve())  # fmt: skip
        worker = run("celery", environment / "bin" / "celery", "--app", "tasks", "worker",
                     "--concurrency", "2", "--loglevel", "warning")  # fmt: skip
        run("gunicorn", environment / "bin" / "gunicorn", "--no-control-socket", "--workers", "2",
            "--bind", f"127.0.0.1:{http_port}", "service:app")  # fmt: skip
        url = loopback(http_port)
        try:
            wait_until(lambda: _serves(url), within=_READY_WITHIN, what="gunicorn")
        except TimeoutError as error:
            log = tail(log_file(folder, "peer-gunicorn"))
            raise TimeoutError(f"{error}; its log ends:\n{log}") from None
        system = FlaskCeleryRedis(url=url, redis_port=redis_port, worker=worker)
        round_trips(system, count=1)  # the worker is ready when it has run a task
        yield system


def _serves(url: SplitResult) -> bool:
    try:
        with urlopen(f"{url.geturl()}/livez", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
