"""A peer: a front with 2 processes, workers with 4, started as its own documentation says."""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult
from urllib.request import urlopen

from benchmarks.books import Books
from benchmarks.load import round_trips, submit_in_batches
from benchmarks.systems import clean_environment, descendants, log_file, loopback, paused, wait_idle
from taskyard.dev.processes import free_port, spawn, stop, tail, wait_until

PEERS = Path(__file__).parents[1] / "peers"
_READY_WITHIN = 120.0
_STOP_WITHIN = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a peer is started. `code` is its folder below peers/, the commands are its programs'."""

    name: str
    code: str
    worker: Sequence[str]
    workers: int = 1  # how often that command is started, for one that has a single process
    prepare: Sequence[str] = ()  # run once, before
    front: Sequence[str] = ("uvicorn", "service:app", "--workers", "2", "--no-access-log")
    shows_results: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A running peer."""

    name: str
    url: SplitResult
    workers: Sequence[subprocess.Popen[bytes]]
    books: Books
    shows_results: bool
    headers: dict[str, str] = field(default_factory=dict)
    task_type: str = "bench.noop"

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are."""
        return paused([each for worker in self.workers for each in descendants(worker.pid)])

    def has_ended(self, shown: dict[str, Any]) -> bool:
        """Return whether a task has its result."""
        return shown["state"] in ("SUCCESS", "succeeded")

    def fill(self, count: int) -> None:
        """Submit in batches: what is accepted is in the queue."""
        submit_in_batches(self, count)

    def unfinished(self) -> int:
        """Count what is accepted and has not ended."""
        return self.books.unfinished()

    def succeeded(self) -> int:
        """Count what has succeeded since the last `clear`."""
        return self.books.succeeded()

    def last_result_at(self) -> datetime:
        """Return when the last task succeeded."""
        return self.books.last_result_at()

    def clear(self) -> None:
        """Forget every task."""
        self.books.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where peers run: logs and data below `folder`, programs from `environment`."""

    folder: Path
    environment: Path

    def tallies(self, code: str) -> Path:
        """Return where the processes of a peer count."""
        return (self.folder / "tallies" / code).resolve()

    def variables(self, code: str, given: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a peer's processes."""
        ours = {"PEER_TALLIES": str(self.tallies(code)), "PYTHONPATH": f"{PEERS}:{PEERS / code}"}
        return clean_environment(**{**ours, **given})

    def run(self, code: str, argv: Sequence[str], given: Mapping[str, str]) -> None:
        """Run a peer's command to its end."""
        command = [str(self.environment / "bin" / argv[0]), *argv[1:]]
        environment = self.variables(code, given)
        subprocess.run(command, check=True, env=environment, cwd=PEERS / code)

    @contextmanager
    def running(
        self, code: str, role: str, argv: Sequence[str], given: Mapping[str, str]
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Start a process of a peer; stop it at the end."""
        with log_file(self.folder, f"peer-{code}-{role}").open("wb") as output:
            process = spawn(
                [self.environment / "bin" / argv[0], *argv[1:]],
                env=self.variables(code, given),
                output=output,
                cwd=PEERS / code,
            )
        try:
            yield process
        finally:
            stop(process, signal.SIGTERM, within=_STOP_WITHIN)

    def fresh_tallies(self, code: str) -> Path:
        """Forget what an earlier run counted; return where."""
        shutil.rmtree(self.tallies(code), ignore_errors=True)
        self.tallies(code).mkdir(parents=True)
        return self.tallies(code)


@contextmanager
def start(
    recipe: Recipe, place: Place, *, variables: Mapping[str, str], books: Books
) -> Iterator[Peer]:
    """Start a peer's workers and front, and return once it has run a task; stop it at the end."""
    url, code = loopback(free_port()), recipe.code
    binding = _binding(recipe.front[0], url)
    with ExitStack() as stack:
        workers = [
            stack.enter_context(place.running(code, f"worker-{number}", recipe.worker, variables))
            for number in range(recipe.workers)
        ]
        stack.enter_context(place.running(code, "front", [*recipe.front, *binding], variables))
        wait_serving(url, log_file(place.folder, f"peer-{code}-front"))
        peer = Peer(
            name=recipe.name, url=url, workers=workers, books=books,
            shows_results=recipe.shows_results,
        )  # fmt: skip
        if peer.shows_results:
            round_trips(peer, count=1)
        else:
            peer.fill(1)
        wait_idle(peer)
        yield peer


def _binding(front: str, url: SplitResult) -> list[str]:
    if front == "uvicorn":
        return ["--host", str(url.hostname), "--port", str(url.port)]
    return ["--bind", url.netloc]


def wait_serving(url: SplitResult, log: Path) -> None:
    """Return when a front answers; raise TimeoutError with the end of its log."""
    try:
        wait_until(lambda: _serves(url), within=_READY_WITHIN, what="the front")
    except TimeoutError as error:
        raise TimeoutError(f"{error}; its log ends:\n{tail(log)}") from None


def _serves(url: SplitResult) -> bool:
    try:
        with urlopen(f"{url.geturl()}/livez", timeout=2) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False
