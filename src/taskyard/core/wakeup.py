"""The wake-up: all that a message to a worker says, and what a broker may say to it."""

from dataclasses import dataclass
from enum import StrEnum

from taskyard.core.task import TaskId
from taskyard.core.trace import TraceContext


class Confirm(StrEnum):
    """What the broker said to one publish. A task that waits for another has it as its reason."""

    CONFIRMED = "confirmed"
    UNROUTABLE = "unroutable"  # no queue is bound for this routing key
    NACKED = "nacked"  # a queue could not take it
    UNANSWERED = "unanswered"  # no answer: it may or may not have arrived


@dataclass(frozen=True, slots=True, kw_only=True)
class WakeUp:
    """What is published: which task, of which type, how urgent. Nothing else is in the message.

    `attempt` is how often the task had run when it was taken to be published: the mark that the
    broker confirmed it must not hit a task that has run since and waits for another wake-up.
    `trace` is where its publishing is told of; it is not in the message.
    """

    id: TaskId
    type: str
    priority: int
    attempt: int = 0
    trace: TraceContext | None = None
