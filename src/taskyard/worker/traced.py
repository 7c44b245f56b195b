"""The spans of an attempt: how long it waited, its claim, its run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from taskyard import tracing
from taskyard.core.lease import Lease
from taskyard.tracing import Attributes


def claimed(lease: Lease, *, began: int) -> None:
    """Tell of the claim, which began at `began` (ns of the epoch), and of the wait before it."""
    if lease.trace is None:
        return
    waited = int(lease.waited * 1e9)
    about = _about(lease)
    tracing.record("wait", parent=lease.trace, start=began - waited, end=began, attributes=about)
    tracing.record("claim", parent=lease.trace, start=began, end=time.time_ns(), attributes=about)


@contextmanager
def run(lease: Lease, pool: str) -> Iterator[None]:
    """Make the body the span that task code finds as its current one.

    A task that was submitted without a trace begins one here.
    """
    if not tracing.is_on():
        yield
        return
    about = {**_about(lease), "taskyard.pool": pool}
    name, parent = f"run {lease.type}", lease.trace
    with tracing.span(name, parent=parent, kind="consumer", attributes=about, root=True):
        yield


def _about(lease: Lease) -> Attributes:
    return {
        "taskyard.task.id": str(lease.id),
        "taskyard.task.type": lease.type,
        "taskyard.attempt": lease.attempt,
    }
