"""Pool faulty: tasks of every temper, in processes that may be killed."""

import os
import resource
import signal
import time
from typing import Any

from faulty import witness
from taskyard import current, task
from taskyard.drill.history import Phase

_MORE_THAN_ALLOWED = 2**34  # bytes


@task("faulty.quick")
def quick() -> dict[str, Any]:
    """Succeed at once."""
    witness.note(Phase.BEGAN)
    return witness.done()


@task("faulty.perishable")
def perishable() -> dict[str, Any]:
    """Like quick; it is submitted so that it expires soon."""
    witness.note(Phase.BEGAN)
    return witness.done()


@task("faulty.slow")
def slow(seconds: float = 1.0) -> dict[str, Any]:
    """Take a while, and tell of it."""
    witness.note(Phase.BEGAN)
    for step in range(10):
        current.progress(step / 10)
        time.sleep(seconds / 10)  # the work
    return witness.done()


@task("faulty.transfer")
def transfer() -> dict[str, Any]:
    """Have an effect that takes part in the finishing transaction."""
    return witness.transfer()


@task("faulty.second")
def second() -> dict[str, Any]:
    """Fail the first time."""
    witness.note(Phase.BEGAN)
    if current.errors < 1:
        raise ValueError("not yet")
    return witness.done()


@task("faulty.transfer_second")
def transfer_second() -> dict[str, Any]:
    """Have an effect and fail, the first time: that one must not stay."""
    result = witness.transfer()
    if current.errors < 1:
        raise ValueError("not yet")
    return result


@task("faulty.failing")
def failing() -> None:
    """Fail every time."""
    witness.note(Phase.BEGAN)
    raise ValueError("never")


@task("faulty.crashes_once")
def crashes_once() -> dict[str, Any]:
    """Take the process along, the first time."""
    witness.note(Phase.BEGAN)
    if current.attempt == 1:
        os._exit(3)
    return witness.done()


@task("faulty.exits")
def exits() -> None:
    """Poison: leave the process without a word."""
    os._exit(1)


@task("faulty.segfaults")
def segfaults() -> None:
    """Poison: die as from a wild pointer."""
    signal.signal(signal.SIGSEGV, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGSEGV)


@task("faulty.endless")
def endless() -> None:
    """Poison: loop until the time limit."""
    while True:
        sum(range(1000))


@task("faulty.hungry")
def hungry() -> None:
    """Poison: want more memory than the process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (2**32, hard))
    try:
        bytearray(_MORE_THAN_ALLOWED)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
