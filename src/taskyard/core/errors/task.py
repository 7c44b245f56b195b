"""What cannot be done with a task as it is."""

from taskyard.core.errors.base import Refused


class TaskNotFound(Refused):
    """There is no task with this id."""

    code = "task-not-found"
    title = "The task was not found"


class TaskGone(Refused):
    """After its retention a task is removed, with its result and history.

    The id tells that it is old enough for that; whether there ever was such a task is not known.
    """

    code = "task-gone"
    title = "The task was removed"


class NotReplayable(Refused):
    """Only a task that failed, expired, was quarantined or was cancelled can be replayed.

    What has succeeded never changes: to run it once more, submit a new task.
    """

    code = "not-replayable"
    title = "The task cannot be replayed"


class NotFeasible(Refused):
    """It will hardly be done by `finish_by`, even as the most urgent. Tells the earliest time."""

    code = "not-feasible"
    title = "It cannot be done by then"


class AlreadyStarted(Refused):
    """The task runs: only what waits has a place in the order. What runs can be cancelled."""

    code = "already-started"
    title = "The task has already started"


class TooLate(Refused):
    """The task has ended, and what it ended in never changes. The detail says when and how."""

    code = "too-late"
    title = "The task has already ended"
