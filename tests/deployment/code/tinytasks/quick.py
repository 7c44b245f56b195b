"""Pool quick: tasks that do what a test wants to see."""

import os
import signal
from typing import Any

from taskyard import Permanent, Retry, current, task


@task("quick.echo")
def echo(value: Any = None) -> Any:
    """Return what was sent."""
    return value


@task("quick.small")
def small(value: str = "") -> str:
    """Like echo, for few bytes."""
    return value


@task("quick.wait")
def wait(path: str) -> str:
    """Open a FIFO and return what comes: a test decides when the task ends."""
    current.progress(0.5, "waiting")
    with open(path) as fifo:
        return fifo.read()


@task("quick.fail")
def fail(message: str = "no", permanent: bool = False) -> None:
    """Fail, for good or not."""
    if permanent:
        raise Permanent(message)
    raise ValueError(message)


@task("quick.second")
def second() -> int:
    """Succeed at the second attempt."""
    if current.attempt < 2:
        raise Retry("not yet", after=0.05)
    return current.attempt


@task("quick.celery_retry", bind=True, max_retries=5)
def celery_retry(self: Any) -> int:
    """Succeed at the second attempt, in Celery's own way."""
    if current.attempt < 2:
        raise self.retry(countdown=0.05)
    return current.attempt


@task("quick.autoretry", autoretry_for=(KeyError,), retry_backoff=False, default_retry_delay=0)
def autoretry(value: int = 1) -> int:
    """Succeed at the second attempt, through autoretry_for."""
    if current.attempt < 2:
        raise KeyError(value)
    return current.attempt


@task("quick.crash")
def crash() -> None:
    """Kill the process that runs it."""
    os.kill(os.getpid(), signal.SIGKILL)


@task("quick.stuck")
def stuck() -> None:
    """Run until a time limit ends it."""
    signal.pause()
    signal.pause()


@task("quick.odd_result")
def odd_result(kind: str) -> Any:
    """Return what cannot be stored."""
    return {"object": object(), "nul": "a\0b", "large": "x" * 2_000_000}[kind]
