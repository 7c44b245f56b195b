"""core/why.py: every cause, from the circumstances that bring it about."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from taskyard.core.causes import ADVICE, Cause
from taskyard.core.circumstances import (
    LACKS_TYPE,
    Circumstances,
    Counts,
    LimitFacts,
    PoolFacts,
    TaskFacts,
)
from taskyard.core.states import TERMINAL, State
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm
from taskyard.core.why import why

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DOCS = Path(__file__).parents[3] / "docs" / "why.md"


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


TASK = TaskFacts(
    id=TaskId(UUID(int=1)), type="a.b", pool="p", state=State.PENDING, reason=None, level=4,
    attempt=0, crash_count=0, due_at=at(-60), expires_at=None, publish_at=at(-60),
    publish_failures=0, queued_at=None, started_at=None, finished_at=None, waits_for=None,
    worker=None, lease_expires_at=None, cancel_requested_at=None, cancelled_by=None, error=None,
    at=NOW,
)  # fmt: skip
COUNTS = Counts(running=1, held=0, window=8, dispatcher_ago=0.5, announced=True)
POOL = PoolFacts(name="p", concurrency=2, broker_up=True, counts=COUNTS, consumers=1)
LIMIT = LimitFacts(name="resource:stripe", running=2, most=2, waiting=3)
RUNS: dict[str, Any] = {
    "state": State.RUNNING, "attempt": 2, "worker": "p@host", "started_at": at(-30),
    "lease_expires_at": at(12),
}  # fmt: skip
QUEUED: dict[str, Any] = {"state": State.QUEUED, "queued_at": at(-60)}
SCHEDULED = State.SCHEDULED
ENDED: dict[str, Any] = {"finished_at": at(-5), "attempt": 3}
FULL = replace(COUNTS, held=8)
PAUSED = replace(FULL, paused_at=at(-60), pause_reason="it leaks.")
ERROR = {"code": "task-error", "message": "KeyError: 'x'\nand more"}

CASES: list[tuple[Cause, dict[str, Any], PoolFacts | None, str]] = [
    (Cause.DUE_LATER, {"state": SCHEDULED, "due_at": at(60)}, None, "due at 2026-11-21T12:01:00Z"),
    (Cause.RETRY_LATER, {"state": State.RETRYING, "due_at": at(9), "attempt": 1, "error": ERROR},
     None, "Attempt 1 ended with task-error: KeyError: 'x'; the next"),
    (Cause.RETRY_LATER, {"state": State.RETRYING, "due_at": at(9), "reason": "worker-lost"},
     None, "ended with worker-lost"),
    (Cause.WORKER_LACKS_TYPE, {"state": SCHEDULED, "due_at": at(9), "reason": LACKS_TYPE},
     None, "does not know the type 'a.b'"),
    (Cause.DISPATCHED_SOON, {"state": SCHEDULED}, POOL, "takes it up"),
    (Cause.DISPATCHED_SOON, {"state": State.RETRYING}, None, "takes it up"),
    (Cause.NO_DISPATCHER, {"state": SCHEDULED},
     replace(POOL, counts=replace(COUNTS, dispatcher_ago=11)), "seen 11s ago"),
    (Cause.DISPATCHED_SOON, {"state": SCHEDULED, "due_at": at(-9)},
     replace(POOL, counts=replace(COUNTS, dispatcher_ago=11)), "takes it up"),
    (Cause.NO_POOL, {}, None, "takes the type 'a.b' any more"),
    (Cause.POOL_PAUSED, {"reason": Confirm.UNROUTABLE, "publish_failures": 1},
     replace(POOL, broker_up=False, counts=PAUSED), "since 2026-11-21T11:59:00Z: it leaks."),
    (Cause.POOL_PAUSED, QUEUED,
     replace(POOL, consumers=None, counts=replace(PAUSED, pause_reason=None)), "11:59:00Z."),
    (Cause.POOL_PAUSED, {"state": SCHEDULED},
     replace(POOL, counts=replace(PAUSED, dispatcher_ago=None)), "it leaks"),
    (Cause.BROKER_AWAY, {"reason": Confirm.UNANSWERED},
     replace(POOL, broker_up=False, consumers=None), "does not answer"),
    (Cause.BROKER_BLOCKED, {"reason": Confirm.UNANSWERED}, replace(POOL, blocked=True), "memory"),
    (Cause.BROKER_SILENT, {"reason": Confirm.UNANSWERED}, POOL, "did not confirm"),
    (Cause.UNROUTABLE, {"reason": Confirm.UNROUTABLE, "publish_failures": 1, "publish_at": at(2)},
     POOL, "refused 1 time); the next try is at 2026-11-21T12:00:02Z"),
    (Cause.BROKER_REFUSES, {"reason": Confirm.NACKED, "publish_failures": 3}, POOL, "3 times"),
    (Cause.HELD, {"publish_at": at(1)}, POOL, "publishes it itself"),
    (Cause.NO_DISPATCHER, {}, replace(POOL, counts=replace(FULL, dispatcher_ago=None)), "never"),
    (Cause.NO_QUEUE, {}, replace(POOL, consumers=None), "is not in the broker"),
    (Cause.NO_WORKER, {}, replace(POOL, consumers=0, counts=FULL), "No worker consumes"),
    (Cause.OTHERS_FIRST, {}, replace(POOL, counts=FULL, ahead=50),
     "50 go before it: 8 that the broker holds, and 42 by"),
    (Cause.WINDOW_FULL, {}, replace(POOL, counts=FULL, ahead=8), "holds 8 wake-ups"),
    (Cause.DISPATCHED_SOON, {}, replace(POOL, consumers=0), "in a moment"),
    (Cause.DISPATCHED_SOON, {}, replace(POOL, counts=replace(COUNTS, window=None)), "in a moment"),
    (Cause.NO_POOL, QUEUED, None, "takes the type"),
    (Cause.BROKER_AWAY, QUEUED, replace(POOL, broker_up=False), "does not answer"),
    (Cause.NO_QUEUE, QUEUED, replace(POOL, consumers=None), "is not in the broker"),
    (Cause.NO_WORKER, QUEUED, replace(POOL, consumers=0), "No worker consumes"),
    (Cause.WORKER_LACKS_TYPE, QUEUED, replace(POOL, counts=replace(COUNTS, announced=False)),
     "has announced the type 'a.b'"),
    (Cause.SLOTS_BUSY, QUEUED, replace(POOL, counts=replace(COUNTS, running=2)),
     "2 of 2 slots of the pool 'p' are busy, 0 go before it"),
    (Cause.SLOTS_BUSY, QUEUED, replace(POOL, ahead=1), "1 goes before it"),
    (Cause.NOT_TAKEN, QUEUED, POOL, "confirmed 1m ago; 1 of 2 slots"),
    (Cause.NOT_TAKEN, QUEUED, replace(POOL, blocked=True), "Nobody has taken"),
    (Cause.STARTS_SOON, QUEUED | {"queued_at": at(-10)}, POOL, "It is next"),
    (Cause.RUNNING, RUNS, None,
     "Attempt 2 runs on p@host since 2026-11-21T11:59:30Z, heard 3s ago"),
    (Cause.STOPPING, RUNS | {"cancel_requested_at": at(-4), "cancelled_by": "key:ops"}, None,
     "asked to stop by key:ops 4s ago"),
    (Cause.WORKER_SILENT, RUNS | {"lease_expires_at": at(-2)}, None, "last heard 17s ago"),
    (Cause.SUCCEEDED, ENDED | {"state": State.SUCCEEDED}, None, "in attempt 3"),
    (Cause.FAILED, ENDED | {"state": State.FAILED, "error": ERROR}, None,
     "after 3 attempts, with task-error: KeyError: 'x'."),
    (Cause.QUARANTINED, ENDED | {"state": State.QUARANTINED, "crash_count": 1}, None, "1 time."),
    (Cause.EXPIRED, ENDED | {"state": State.EXPIRED, "reason": "not done by its deadline"}, None,
     "11:59:55Z: not done by its deadline."),
    (Cause.CANCELLED, ENDED | {"state": State.CANCELLED, "cancelled_by": "key:ops"}, None,
     "by key:ops, after 3 attempts."),
    (Cause.CANCELLED, {"state": State.CANCELLED, "finished_at": NOW}, None, "before it had"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("code", "task", "pool", "says"), CASES, ids=lambda each: each if type(each) is Cause else ""
)
def test_each_cause_is_told_from_its_circumstances(
    code: Cause, task: dict[str, Any], pool: PoolFacts | None, says: str
) -> None:
    """One code, and a sentence with what matters in it."""
    found = why(Circumstances(task=replace(TASK, **task), pool=pool))
    assert (found.code, says in found.sentence) == (code, True), found
    assert found.sentence.endswith(".")
    assert found.sentence[0].isupper() or found.sentence[0].isdigit()


@pytest.mark.parametrize(
    ("code", "limit", "until", "says"),
    [
        (Cause.LIMIT_PAUSED, replace(LIMIT, paused_until=at(30)), at(30), "paused until"),
        (Cause.LIMIT_FULL, replace(LIMIT, paused_until=at(-1)), None, "(2 of 2 run); 3 wait"),
        (Cause.LIMIT_FULL, replace(LIMIT, most=None, rate="5/m", opens_at=at(7)), at(7),
         "(5/m may start)"),
        (Cause.LIMIT_FULL, None, None, "limit resource:stripe has no room; 0 wait"),
    ],
)  # fmt: skip
def test_a_task_in_the_line_of_a_limit_says_which_and_until_when(
    code: Cause, limit: LimitFacts | None, until: datetime | None, says: str
) -> None:
    """Whatever its due time is: that is only a net."""
    task = replace(TASK, state=SCHEDULED, waits_for="resource:stripe", due_at=at(-1))
    found = why(Circumstances(task=task, limit=limit, pool=POOL))
    assert (found.code, found.until, says in found.sentence) == (code, until, True), found


def test_every_cause_comes_about() -> None:
    """Else a code would be promised that nobody ever gets."""
    told = {code for code, *_ in CASES} | {Cause.LIMIT_FULL, Cause.LIMIT_PAUSED}
    assert told == set(Cause)


@pytest.mark.parametrize("state", State)
def test_every_state_has_an_answer_whatever_else_is_known(state: State) -> None:
    """An end is told as such; nothing else is."""
    bare = replace(TASK, state=state, pool="gone")
    for pool in (None, POOL, replace(POOL, broker_up=False)):
        found = why(Circumstances(task=bare, pool=pool))
        assert (found.code in {Cause(each) for each in TERMINAL}) == (state in TERMINAL)


def test_the_guide_explains_every_code_and_gives_the_same_advice() -> None:
    """docs/why.md has one row for each code, and no others."""
    rows = re.findall(r"^\| `([a-z-]+)` \| .+ \| (.*) ?\|$", DOCS.read_text(), re.MULTILINE)
    said = {code: advice.strip() for code, advice in rows}
    assert len(said) == len(rows)
    assert said == {cause.value: ADVICE.get(cause, "") for cause in Cause}
