"""What clients see of what is done to many tasks."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from taskyard.api.dead_letter_views import RefusalView, refusal_view
from taskyard.api.errors import describe
from taskyard.api.views import Problem
from taskyard.core.states import State
from taskyard.core.units import show_duration
from taskyard.services.cancel_many import CancelManyRequest, CancelReport
from taskyard.services.many_tasks import ManyReport, Meant
from taskyard.services.replay_report import ReplayReport
from taskyard.services.replay_tasks import ReplayTasksRequest
from taskyard.services.reprioritise_many import ReprioritiseManyRequest


class ManyView(msgspec.Struct, kw_only=True):
    """What was done to many tasks, or would be: to `count` of those that were found.

    `states` are those that they had then, at `looked_at`, null if there were none; sent back as
    `created_before`, it means no task that came later. `more` says that the limit left some out,
    `left` counts those that time did not suffice for: the same request does them. Whatever is in
    none of these changed meanwhile, and is as it is.
    """

    dry_run: bool
    count: int
    states: dict[State, int]
    left: int
    more: bool
    looked_at: datetime | None


class CancelManyView(ManyView, kw_only=True):
    """The same of a cancel: how often it came to which receipt."""

    prevented: int
    interrupted: int


class ReprioritiseManyView(ManyView, kw_only=True):
    """The same of another priority; those that have it already are not found."""


class ReplayTasksView(ManyView, kw_only=True):
    """The same of a replay.

    `refused` would not be accepted today and stay as they are; at most 20 `refusals` are shown. Of
    `left`, it may be the backlog's bound or a quota that `stopped` it. `spread` is the time over
    which the others become due.
    """

    refused: int
    refusals: list[RefusalView]
    stopped: Problem | None
    spread: str


def cancel_many_view(wish: CancelManyRequest, report: CancelReport) -> CancelManyView:
    """Return what the caller sees of a cancel of many."""
    return CancelManyView(
        **_members(report), dry_run=wish.dry_run,
        prevented=report.prevented, interrupted=report.interrupted,
    )  # fmt: skip


def reprioritise_many_view(
    wish: ReprioritiseManyRequest, report: ManyReport
) -> ReprioritiseManyView:
    """Return what the caller sees of another priority of many."""
    return ReprioritiseManyView(**_members(report), dry_run=wish.dry_run)


def replay_tasks_view(
    wish: ReplayTasksRequest, report: ReplayReport, meant: Meant
) -> ReplayTasksView:
    """Return what the caller sees of a replay of many."""
    return ReplayTasksView(
        dry_run=wish.dry_run,
        count=report.count,
        states=dict(sorted(meant.states.items())),
        left=report.left,
        more=report.more,
        looked_at=meant.looked_at,
        refused=report.refused,
        refusals=[refusal_view(each) for each in report.refusals],
        stopped=describe(report.stopped) if report.stopped else None,
        spread=show_duration(timedelta(seconds=report.count / wish.rate if wish.rate else 0)),
    )


def _members(report: ManyReport) -> dict[str, Any]:
    return {
        "count": report.count,
        "states": dict(sorted(report.states.items())),
        "left": report.left,
        "more": report.more,
        "looked_at": report.looked_at,
    }


SCHEMAS = (
    CancelManyRequest, CancelManyView, ReprioritiseManyRequest, ReprioritiseManyView,
    ReplayTasksRequest, ReplayTasksView,
)  # fmt: skip
