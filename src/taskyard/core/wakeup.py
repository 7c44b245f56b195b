"""The wake-up: all that a message to a worker says."""

from dataclasses import dataclass

from taskyard.core.task import TaskId


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeUp:
    """What is published: which task, of which type, how urgent. Nothing else is in the message.

    `attempt` is how often the task had run when it was taken to be published: the mark that the
    broker confirmed it must not hit a task that has run since and waits for another wake-up.
    """

    id: TaskId
    type: str
    priority: int
    attempt: int = 0
