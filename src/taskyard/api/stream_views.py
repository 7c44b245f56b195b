"""What clients see of streams and logs: each JSON document as a struct."""

from datetime import datetime

import msgspec

from taskyard.api.views import Json, TaskError
from taskyard.core.states import State


class ChangeView(msgspec.Struct, kw_only=True):
    """One change in the history of all tasks; `seq` is its number in that of its own task."""

    position: int
    task: str
    seq: int
    at: datetime
    type: str
    pool: str
    labels: dict[str, str]
    state: State
    generation: int
    attempt: int
    worker: str | None
    reason: str | None
    error: TaskError | None


class LogLineView(msgspec.Struct, kw_only=True):
    """One line of a task's log. Numbers that are missing were said, and dropped."""

    number: int
    at: datetime
    attempt: int
    text: str
    fields: Json


class LogView(msgspec.Struct, kw_only=True):
    """The newest lines of a task's log, at most 100, in order."""

    items: list[LogLineView]


class Farewell(msgspec.Struct, kw_only=True):
    """Why something is missing, or why the stream ends."""

    reason: str


SCHEMAS = (ChangeView, LogLineView, LogView, Farewell)
