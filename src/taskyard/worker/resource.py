"""A resource, as the tasks that use it speak of it."""

from collections.abc import Callable
from datetime import timedelta

from taskyard.core.lease import Lease
from taskyard.core.limits import Limit
from taskyard.worker import permits
from taskyard.worker.runtime import Runtime

_PAUSE = 1.0  # seconds, when the service did not say how long


class Resource:
    """A budget that task types share. Outside a worker, what is said of it has no effect."""

    def __init__(self, report: Callable[[float], None] | None = None) -> None:
        self._report = report

    def throttled(self, retry_after: timedelta | float | None = None) -> None:
        """Say that the service refused for now (429): the budget is halved for all pools.

        Nothing that needs it starts for `retry_after` seconds; 1 if nothing is said. Reports of
        attempts that began before the budget was last halved only prolong that pause.
        """
        if self._report is None:
            return
        if isinstance(retry_after, timedelta):
            retry_after = retry_after.total_seconds()
        self._report(_PAUSE if retry_after is None else max(0.0, retry_after))

    def timed_out(self) -> None:
        """Say that the service did not answer in time, which is taken for a sign of overload."""
        self.throttled()


def resource_of(runtime: Runtime, lease: Lease, name: str) -> Resource:
    """Return a resource of a running task. Raises LookupError when its type does not name it."""
    limit = _named(runtime, lease.type, name)

    def report(pause: float) -> None:
        def write() -> None:
            runtime.durably(
                lambda c: permits.report_throttled(c, limit, pause=pause, task_id=lease.id)
            )

        if runtime.loop is not None and runtime.loop.is_here():
            runtime.loop.later(write)
        else:
            write()

    return Resource(report)


def _named(runtime: Runtime, task_type: str, name: str) -> Limit:
    if name not in runtime.table.defaults_for(task_type).resources:
        raise LookupError(f"the task type {task_type!r} does not name the resource {name!r}")
    return runtime.table.resources[name]
