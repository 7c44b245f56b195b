"""Every operation of the REST interface as a call: what is sent, and what the answer is."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace as replace_request
from datetime import datetime
from typing import Any, TypedDict

import msgspec

from taskyard.client.documents import (
    Accepted,
    AttemptList,
    Batch,
    History,
    ReasonGroupList,
    Receipt,
    ReplayReport,
    Task,
    TaskPage,
    Why,
)
from taskyard.client.exchange import Call, Request
from taskyard.client.requests import post, query, segment
from taskyard.client.stream_documents import TaskLog
from taskyard.client.yard_documents import (
    Explanation,
    PoolList,
    PoolWhole,
    ResourceList,
    TaskType,
    TaskTypeList,
)

LONGEST_WAIT = 60  # seconds, the server's bound of one long poll


class Options(TypedDict, total=False):
    """What a submission may say besides type and arguments; None is as if it were left out.

    Durations are written "90s", "5m", "2h", "7d"; `run_at` and `finish_by` have a time zone.
    """

    priority: int | None
    delay: str | None
    run_at: datetime | str | None
    expires_in: str | None
    deadline: str | None
    labels: Mapping[str, str] | None
    notify_url: str | None
    finish_by: datetime | str | None


class Filters(TypedDict, total=False):
    """Which tasks are meant; `label` holds texts such as "team:web", and all must fit."""

    type: str | None
    state: str | None
    pool: str | None
    label: str | Iterable[str] | None
    error: str | None
    created_after: datetime | str | None
    created_before: datetime | str | None


class DeadLetterFilters(TypedDict, total=False):
    """Which dead letters are meant."""

    type: str | None
    state: str | None
    pool: str | None
    code: str | None
    label: str | Iterable[str] | None
    finished_after: datetime | str | None
    finished_before: datetime | str | None


class ReplayOptions(TypedDict, total=False):
    """How many dead letters are replayed: `rate` is in tasks a second; None is all at once."""

    all: bool
    dry_run: bool
    rate: float | None
    limit: int


class StreamFilters(TypedDict, total=False):
    """Which changes a stream is of: any of each kind, and all of the labels.

    `type` may be a topic pattern such as "image.*".
    """

    type: str | Iterable[str] | None
    state: str | Iterable[str] | None
    pool: str | Iterable[str] | None
    label: str | Iterable[str] | None


def body_of(value: Any) -> bytes:
    """Return JSON. Raises TypeError or ValueError for what JSON has no form for, NaN too."""
    text = json.dumps(
        value,
        default=msgspec.to_builtins,
        allow_nan=False,
        ensure_ascii=False,
        separators=(",", ":"),
    )
    return text.encode()


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are not None."""
    return {name: value for name, value in values.items() if value is not None}


def submission(task_type: str, args: Mapping[str, Any] | None, options: Options) -> dict[str, Any]:
    """Return one submission, as it stands in a body."""
    return {"type": task_type, "args": args or {}, **given(options)}


def submit(body: Mapping[str, Any], key: str) -> Call[Accepted]:
    """Submit a task."""
    return Call(post("/v1/tasks", body_of(body), key=key), Accepted)


def submit_batch(items: Iterable[bytes], key: str) -> Call[Batch]:
    """Submit many tasks, each encoded already."""
    body = b'{"tasks":[' + b",".join(items) + b"]}"
    return Call(post("/v1/tasks/batch", body, key=key), Batch)


def get(task_id: str, *, wait: int = 0) -> Call[Task]:
    """Return a task; the server may hold the answer for `wait` seconds, until the task ends."""
    params = (("wait", str(wait)),) if wait else ()
    path = f"/v1/tasks/{segment(task_id)}"
    return Call(Request(method="GET", path=path, params=params, linger=wait), Task)


def why(task_id: str) -> Call[Why]:
    """Return why a task is not running."""
    return Call(Request(method="GET", path=f"/v1/tasks/{segment(task_id)}/why"), Why)


def page(filters: Filters, *, limit: int | None, cursor: str | None) -> Call[TaskPage]:
    """Return one page of tasks, newest first."""
    params = query({**filters, "limit": limit, "cursor": cursor})
    return Call(Request(method="GET", path="/v1/tasks", params=params), TaskPage)


def cancel(task_id: str) -> Call[Receipt]:
    """Cancel a task. A second cancel may say `too-late` of the first one's success."""
    return Call(post(f"/v1/tasks/{segment(task_id)}/cancel"), Receipt)


def reprioritise(task_id: str, priority: int) -> Call[Task]:
    """Give a task that waits another priority; said twice, it is the same."""
    body = body_of({"priority": priority})
    return Call(post(f"/v1/tasks/{segment(task_id)}/reprioritise", body), Task)


def replay(task_id: str, *, args: Mapping[str, Any] | None, priority: int | None) -> Call[Task]:
    """Let a task that ended badly run again."""
    body = body_of(given({"args": args, "priority": priority}))
    return Call(post(f"/v1/tasks/{segment(task_id)}/replay", body), Task)


def attempts(task_id: str) -> Call[AttemptList]:
    """Return every attempt of a task."""
    path = f"/v1/tasks/{segment(task_id)}/attempts"
    return Call(Request(method="GET", path=path), AttemptList)


def history(task_id: str) -> Call[History]:
    """Return the history of a task so far."""
    headers = {"Accept": "application/json"}
    path = f"/v1/tasks/{segment(task_id)}/events"
    return Call(Request(method="GET", path=path, headers=headers), History)


def log(task_id: str) -> Call[TaskLog]:
    """Return what a task has said."""
    return Call(Request(method="GET", path=f"/v1/tasks/{segment(task_id)}/log"), TaskLog)


def watch(task_id: str) -> Request:
    """Return the request for the stream of one task."""
    return Request(method="GET", path=f"/v1/tasks/{segment(task_id)}/events")


def stream(filters: StreamFilters) -> Request:
    """Return the request for the stream of all tasks that fit."""
    return Request(method="GET", path="/v1/stream", params=query(filters))


def dead_letters(
    filters: DeadLetterFilters, *, limit: int | None, cursor: str | None
) -> Call[TaskPage]:
    """Return one page of dead letters, newest first."""
    params = query({**filters, "limit": limit, "cursor": cursor})
    return Call(Request(method="GET", path="/v1/dead-letters", params=params), TaskPage)


def dead_letter_groups(filters: DeadLetterFilters, *, limit: int | None) -> Call[ReasonGroupList]:
    """Return dead letters grouped by what went wrong."""
    params = query({**filters, "limit": limit})
    request = Request(method="GET", path="/v1/dead-letters/groups", params=params)
    return Call(request, ReasonGroupList)


def replay_dead_letters(which: Mapping[str, Any], options: ReplayOptions) -> Call[ReplayReport]:
    """Replay many dead letters. Sent twice, it replays those that have failed again meanwhile."""
    body = body_of({"filter": given(which), **given(options)})
    return Call(post("/v1/dead-letters/replay", body), ReplayReport)


def task_types() -> Call[TaskTypeList]:
    """Return the task types."""
    return Call(Request(method="GET", path="/v1/task-types"), TaskTypeList)


def task_type(name: str) -> Call[TaskType]:
    """Return one task type."""
    return Call(Request(method="GET", path=f"/v1/task-types/{segment(name)}"), TaskType)


def pools() -> Call[PoolList]:
    """Return the pools."""
    return Call(Request(method="GET", path="/v1/pools"), PoolList)


def pool(name: str) -> Call[PoolWhole]:
    """Return one pool."""
    return Call(Request(method="GET", path=f"/v1/pools/{segment(name)}"), PoolWhole)


def resources() -> Call[ResourceList]:
    """Return the budgets that task types share."""
    return Call(Request(method="GET", path="/v1/resources"), ResourceList)


def explain(task_type: str, *, priority: int | None) -> Call[Explanation]:
    """Return where a task type goes and why."""
    request = post("/v1/routes/explain", body_of(given({"type": task_type, "priority": priority})))
    return Call(replace_request(request, safe=True), Explanation)
