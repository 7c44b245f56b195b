"""News: what is told of one change of a task, to webhooks and to services that listen."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.states import TERMINAL, State
from taskyard.storage import relay
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.relay import Ending

LARGEST_RESULT = 16 * 1024  # bytes of JSON; what is larger is fetched with GET


class Cause(msgspec.Struct, kw_only=True):
    """Why an attempt did not succeed. Its traceback stays inside."""

    code: str
    message: str


class News(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One change of a task; `seq` numbers the changes of each task without a gap.

    `result` is there when the task succeeded with one of up to 16 KiB; `result_omitted` says that
    it is larger, or not for everybody who may read the news. What does not apply is left out.
    """

    id: str
    seq: int
    type: str
    pool: str
    state: State
    generation: int
    attempt: int
    at: datetime
    labels: dict[str, str]
    worker: str | None = None
    reason: str | None = None
    error: Cause | None = None
    result: Any = None
    result_omitted: bool = False
    links: dict[str, str]


def event_name(change: Change) -> str:
    """Return what a change is called, to be matched by topic patterns."""
    return f"task.{change.type}.{change.state}"


async def endings_among(connection: AsyncConnection, found: Sequence[Change]) -> dict[int, Ending]:
    """Return what belongs to the news of those changes that are ends, by their positions."""
    ends = [change for change in found if change.state in TERMINAL]
    ids = [change.task_id for change in ends]
    endings = await relay.endings(connection, ids, largest=LARGEST_RESULT)
    return {each.position: endings[each.task_id] for each in ends if each.task_id in endings}


def news_of(change: Change, ending: Ending | None, *, discreet: bool = False) -> News:
    """Return what is told of a change; discreetly, that there is a result or error, not which."""
    ending = ending if change.state == State.SUCCEEDED else None
    return News(
        id=str(change.task_id),
        seq=change.seq,
        type=change.type,
        pool=change.pool,
        state=State(change.state),
        generation=change.generation,
        attempt=change.attempt,
        at=change.at,
        labels=change.labels,
        worker=change.worker,
        reason=change.reason,
        error=_cause(change.error, discreet=discreet),
        result=ending.result if ending and not discreet else None,
        result_omitted=ending is not None and (discreet or ending.too_large),
        links={"self": f"/v1/tasks/{change.task_id}"},
    )


def _cause(error: dict[str, Any] | None, *, discreet: bool) -> Cause | None:
    if error is None:
        return None
    return Cause(code=error["code"], message="" if discreet else error["message"])
