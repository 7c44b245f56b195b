"""What is told of a commit in the traces of the tasks that it stored."""

import time
from collections.abc import Sequence

from taskyard import tracing
from taskyard.core.task import NewTask


def tell_commit(tasks: Sequence[NewTask], *, began: int) -> None:
    """Add a span to each trace that had a share in a commit, which began at `began` (ns)."""
    if not tracing.is_on():
        return
    ended = time.time_ns()
    for trace in {task.trace for task in tasks}:
        tracing.record(
            "commit",
            parent=trace,
            start=began,
            end=ended,
            attributes={"db.system.name": "postgresql", "taskyard.commit.tasks": len(tasks)},
        )
