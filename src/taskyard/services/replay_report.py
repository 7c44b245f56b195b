"""What is said of a replay of many: how many are meant, and what became of them."""

from dataclasses import dataclass, field
from typing import Annotated

import msgspec
from msgspec import Meta

from taskyard.core.errors import Refused, TaskyardError
from taskyard.core.task import TaskId
from taskyard.services.many_tasks import MOST_TASKS
from taskyard.storage.dead_letters import ReasonGroup

_REFUSALS_SHOWN = 20


class ReplayOptions(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How many are replayed, and how fast: `rate` is in tasks a second."""

    all: bool = False
    dry_run: bool = False
    rate: Annotated[float, Meta(gt=0, le=100_000)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MOST_TASKS)] = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A task that would be refused if it were submitted today, and why."""

    id: TaskId
    code: str
    detail: str


@dataclass(slots=True, kw_only=True)
class ReplayReport:
    """What a replay of many did or would do: `more` says that the limit left some out.

    `refused` counts what stays as it is; the first of them are in `refusals`. `left` were not
    looked at, because it was `stopped`, there was no room for more, or because time was up.
    """

    count: int = 0
    refused: int = 0
    more: bool = False
    left: int = 0
    stopped: TaskyardError | None = None
    groups: tuple[ReasonGroup, ...] = ()
    refusals: list[Refusal] = field(default_factory=list)

    def refuse(self, task_id: TaskId, error: Refused) -> None:
        """Count a task that stays as it is; the first ones are told of."""
        self.refused += 1
        if len(self.refusals) < _REFUSALS_SHOWN:
            detail = "; ".join((error.detail, *map(str, error.faults)))
            self.refusals.append(Refusal(id=task_id, code=error.code, detail=detail))
