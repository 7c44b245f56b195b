"""The lease: one worker's right to run one attempt, and to say what became of it."""

from dataclasses import dataclass
from typing import Any, NewType
from uuid import UUID

from taskyard.core.principal import TenantId
from taskyard.core.task import TaskId
from taskyard.core.trace import TraceContext

LeaseToken = NewType("LeaseToken", UUID)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A claimed attempt: what to run, and the token that every later write must show.

    `errors` counts the earlier attempts that ended in an error; `seconds_left` is the time to the
    task's deadline, if it has one. `args` are as they are stored, maybe sealed. `waited` is the
    time in seconds since its wake-up could be taken; `trace` is where its spans belong.
    """

    id: TaskId
    tenant: TenantId
    type: str
    token: LeaseToken
    attempt: int
    max_attempts: int
    errors: int
    seconds_left: float | None
    priority: int
    args: Any
    waited: float = 0.0
    trace: TraceContext | None = None
