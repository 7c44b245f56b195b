"""What a system must offer to be measured."""

import os
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import psutil

from taskyard.dev.processes import wait_until

IDLE_WITHIN = 300.0


class System(Protocol):
    """Something that keeps tasks and runs them."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def workers_paused(self) -> AbstractContextManager[None]:
        """Stop the worker processes where they are, and let them go on at the end."""
        ...

    def fill(self, count: int) -> None:
        """Queue so many tasks; return when all of them are in the broker."""
        ...

    def unfinished(self) -> int:
        """Return how many accepted tasks have not ended."""
        ...

    def succeeded(self) -> int:
        """Return how many tasks have succeeded since the last `clear`."""
        ...

    def last_result_at(self) -> datetime:
        """Return when the last one succeeded, with its time zone."""
        ...

    def clear(self) -> None:
        """Forget every task, waiting or ended. Call it while nothing is submitted."""
        ...


class Gateway(System, Protocol):
    """A system that takes tasks over HTTP, by the part of Taskyard's interface measured here."""

    @property
    def url(self) -> SplitResult:
        """Where it listens."""
        ...

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        ...

    @property
    def task_type(self) -> str:
        """The type of the task that does nothing."""
        ...

    @property
    def shows_results(self) -> bool:
        """Whether GET /v1/tasks/{id} tells how a task ended."""
        ...

    def has_ended(self, shown: dict[str, Any]) -> bool:
        """Return whether the answer to GET /v1/tasks/{id} shows an ended task."""
        ...


def loopback(port: int) -> SplitResult:
    """Return the URL of a port on this machine."""
    return urlsplit(f"http://127.0.0.1:{port}")


def wait_idle(system: System) -> None:
    """Return when everything that was accepted has ended."""
    wait_until(
        lambda: system.unfinished() == 0, within=IDLE_WITHIN, what=f"{system.name} to be idle"
    )


def descendants(pid: int, *, marked: str = "") -> list[psutil.Process]:
    """Return a process and those below it, or those of them whose command line has a word."""
    root = psutil.Process(pid)
    found = [root, *root.children(recursive=True)]
    return [each for each in found if marked in each.cmdline()] if marked else found


@contextmanager
def paused(processes: list[psutil.Process]) -> Iterator[None]:
    """Stop processes where they are, as the kernel does it for a debugger, and let them go on."""
    try:
        for each in processes:
            each.send_signal(signal.SIGSTOP)
        yield
    finally:
        for each in processes:
            each.send_signal(signal.SIGCONT)


def clean_environment(**extra: str) -> dict[str, str]:
    """Return an environment without settings of a Taskyard or Celery that is in use here."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TASKYARD_", "CELERY_", "PEER_"))
    }
    return {**kept, **extra}


def log_file(folder: Path, name: str) -> Path:
    """Return where a process of the run writes what it prints."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.log"
