"""What clients see of dead letters, replays and attempts."""

from datetime import datetime, timedelta

import msgspec

from taskyard.api.errors import describe
from taskyard.api.views import Problem, TaskError
from taskyard.core.states import State
from taskyard.core.units import show_duration
from taskyard.services.replay import ReplayRequest
from taskyard.services.replay_many import ReplayManyRequest
from taskyard.services.replay_report import Refusal, ReplayReport
from taskyard.storage.dead_letters import Attempt, ReasonGroup


class ReasonGroupView(msgspec.Struct, kw_only=True):
    """Dead letters of one type that ended alike.

    `message` has what stands in quotes as "…" and each number, UUID and hexadecimal word as #;
    `sample` is the id of one of them.
    """

    type: str
    state: State
    code: str
    message: str
    count: int
    first_seen: datetime
    last_seen: datetime
    sample: str


class ReasonGroupList(msgspec.Struct, kw_only=True):
    """The largest reason groups of the newest 10,000 dead letters; `total` counts them all."""

    total: int
    items: list[ReasonGroupView]


class RefusalView(msgspec.Struct, kw_only=True):
    """A task that would be refused if it were submitted today, and why."""

    id: str
    code: str
    detail: str


class ReplayView(msgspec.Struct, kw_only=True):
    """What a replay of many did, or would do; `more` says that the limit left some out.

    `refused` would not be accepted today and stay as they are; at most 20 `refusals` are shown.
    `left` were not looked at, because it was `stopped` by the backlog's bound or a quota, or
    because 20 s were over.
    `spread` is the time over which the others become due. `groups` is there after a dry run only.
    """

    dry_run: bool
    count: int
    refused: int
    refusals: list[RefusalView]
    more: bool
    left: int
    stopped: Problem | None
    spread: str
    groups: list[ReasonGroupView]


class AttemptView(msgspec.Struct, kw_only=True):
    """One execution of a task; `outcome` is what the task became with its end, or `running`."""

    number: int
    generation: int
    worker: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: State
    reason: str | None
    error: TaskError | None


class AttemptList(msgspec.Struct, kw_only=True):
    """Every attempt of a task, in order."""

    items: list[AttemptView]


def group_view(group: ReasonGroup) -> ReasonGroupView:
    """Return what the caller sees of a reason group."""
    return ReasonGroupView(
        type=group.type,
        state=State(group.state),
        code=group.code,
        message=group.message,
        count=group.count,
        first_seen=group.first_seen,
        last_seen=group.last_seen,
        sample=str(group.sample),
    )


def refusal_view(refusal: Refusal) -> RefusalView:
    """Return what the caller sees of a task that would be refused."""
    return RefusalView(id=str(refusal.id), code=refusal.code, detail=refusal.detail)


def replay_view(wish: ReplayManyRequest, report: ReplayReport) -> ReplayView:
    """Return what the caller sees of a replay of many."""
    return ReplayView(
        dry_run=wish.dry_run,
        count=report.count,
        refused=report.refused,
        refusals=[refusal_view(each) for each in report.refusals],
        more=report.more,
        left=report.left,
        stopped=describe(report.stopped) if report.stopped else None,
        spread=show_duration(timedelta(seconds=report.count / wish.rate if wish.rate else 0)),
        groups=[group_view(group) for group in report.groups],
    )


def attempt_view(attempt: Attempt) -> AttemptView:
    """Return what the caller sees of an attempt."""
    return AttemptView(
        number=attempt.number,
        generation=attempt.generation,
        worker=attempt.worker,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        outcome=State(attempt.outcome),
        reason=attempt.reason,
        error=TaskError(**attempt.error) if attempt.error else None,
    )


SCHEMAS = (ReplayRequest, ReplayManyRequest, ReasonGroupList, ReplayView, AttemptList)
