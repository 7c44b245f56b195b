"""What streams tell, and what tasks say."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from taskyard.client.documents import Change, Json, Progress, TaskError


class TaskChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change in the history of all tasks; `seq` is its number in that of its own task."""

    position: int
    task: str
    seq: int
    at: datetime
    type: str
    pool: str
    labels: dict[str, str]
    state: str
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: TaskError | None


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task's log. Numbers that are missing were said, and dropped."""

    number: int
    at: datetime
    attempt: int
    text: str
    fields: Json


class TaskLog(msgspec.Struct, frozen=True, kw_only=True):
    """The newest lines of a task's log, in order."""

    items: tuple[LogLine, ...]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """What came after the place to go on from is not kept any more; `reason` says it in words."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One event of a stream. `id` is where to go on from, in another process or at another time."""

    id: str
    data: Change | TaskChange | Progress | LogLine | Gap
