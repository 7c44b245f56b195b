"""The operations on many tasks at once as calls. In doubt none is sent again: it may be done."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict

from taskyard.client.exchange import Call
from taskyard.client.many_documents import ManyCancelled, ManyReplayed, ManyReprioritised
from taskyard.client.operations import ReplayOptions, body_of, given
from taskyard.client.requests import post


class TaskFilters(TypedDict, total=False):
    """Which tasks are meant; what is left out or None does not matter, and all labels must fit.

    `error` is words of an error's code or message, the last or its beginning.
    """

    type: str | None
    state: str | None
    pool: str | None
    labels: Mapping[str, str]
    error: str | None
    created_after: datetime | str | None
    created_before: datetime | str | None


class ManyOptions(TypedDict, total=False):
    """How many are meant at most; `all` must be said when nothing else says which."""

    all: bool
    dry_run: bool
    limit: int


def cancel(which: TaskFilters, options: ManyOptions) -> Call[ManyCancelled]:
    """Cancel what matches and has not ended."""
    return Call(post("/v1/tasks/cancel", _body(which, options)), ManyCancelled)


def reprioritise(
    which: TaskFilters, priority: int, options: ManyOptions
) -> Call[ManyReprioritised]:
    """Give what matches and waits another priority."""
    body = _body(which, {**options, "priority": priority})
    return Call(post("/v1/tasks/reprioritise", body), ManyReprioritised)


def replay(which: TaskFilters, options: ReplayOptions) -> Call[ManyReplayed]:
    """Replay what matches and ended badly."""
    return Call(post("/v1/tasks/replay", _body(which, options)), ManyReplayed)


def _body(which: TaskFilters, options: Mapping[str, object]) -> bytes:
    return body_of({"filter": given(which), **given(options)})
