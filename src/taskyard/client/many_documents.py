"""What the server says of what is done to many tasks."""

from datetime import datetime

import msgspec

from taskyard.client.documents import Problem, ReplayRefusal


class ManyReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to many tasks, or would be: to `count` of those that were found.

    `states` are those that they had then, at `looked_at`, None if there were none: as
    `created_before` it means no task that came later. `more` says that the limit left some out,
    `left` counts those that time did not suffice for.
    """

    dry_run: bool
    count: int
    states: dict[str, int]
    left: int
    more: bool
    looked_at: datetime | None


class ManyCancelled(ManyReport, frozen=True, kw_only=True):
    """The same of a cancel: how often it came to which receipt."""

    prevented: int
    interrupted: int


class ManyReprioritised(ManyReport, frozen=True, kw_only=True):
    """The same of another priority; those that have it already are not found."""


class ManyReplayed(ManyReport, frozen=True, kw_only=True):
    """The same of a replay; at most 20 `refusals` are shown.

    `refused` would not be accepted today and stay as they are. Of `left`, it may be the backlog's
    bound or a quota that `stopped` it.
    """

    refused: int
    refusals: tuple[ReplayRefusal, ...]
    stopped: Problem | None
    spread: str
