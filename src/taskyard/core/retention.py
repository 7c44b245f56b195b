"""How long ended tasks are kept, and what an id alone says about it.

The first 48 bits of a UUIDv7 are the milliseconds since 1970 at which it was made (RFC 9562,
section 5.7), so ids are in the order of their making.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from taskyard.core.errors import TaskGone, TaskNotFound
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.task import TaskId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = (1 << 48) - 1


def shortest(table: RoutingTable) -> timedelta:
    """Return the shortest retention that any task type may have."""
    return min(each.retention for each in (TaskDefaults(), *table.defaults.values()))


def first_id_at(instant: datetime) -> TaskId:
    """Return what no id made at this instant or later is below."""
    milliseconds = (instant - _EPOCH) // timedelta(milliseconds=1)
    return TaskId(UUID(int=min(max(milliseconds, 0), _LATEST) << 80))


def why_absent(task_id: TaskId, *, table: RoutingTable, now: datetime) -> TaskNotFound | TaskGone:
    """Return the error that tells of a task which is not there.

    One younger than the shortest retention cannot have been removed, so it never was.
    """
    if task_id.version == 7 and task_id < first_id_at(now - shortest(table)):
        return TaskGone(f"the task {task_id} was removed after its retention, if it ever was")
    return TaskNotFound(f"there is no task {task_id}")
