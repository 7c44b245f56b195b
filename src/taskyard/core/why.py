"""Why a task is not running, or what it does, or how it ended: one cause and one sentence."""

from datetime import timedelta
from typing import assert_never

from taskyard.core import why_waits
from taskyard.core.causes import Cause, Why
from taskyard.core.circumstances import LACKS_TYPE, Circumstances, LimitFacts, TaskFacts
from taskyard.core.states import State
from taskyard.core.units import show_ago, show_instant

_LEASE = timedelta(seconds=15)  # see the statements claim and extend_leases


def why(given: Circumstances) -> Why:
    """Return the one cause that holds a task up; of several the one to be mended first."""
    task = given.task
    match task.state:
        case State.SCHEDULED if task.waits_for is not None:
            return _in_line(task, given.limit or LimitFacts(name=task.waits_for))
        case State.SCHEDULED | State.RETRYING:
            return _until_due(given)
        case State.PENDING:
            return why_waits.pending(given)
        case State.QUEUED:
            return why_waits.queued(given)
        case State.RUNNING:
            return _running(task)
        case State.SUCCEEDED | State.FAILED | State.QUARANTINED | State.EXPIRED | State.CANCELLED:
            return _ended(task)
        case _:
            assert_never(task.state)


def _in_line(task: TaskFacts, limit: LimitFacts) -> Why:
    if limit.paused_until is not None and limit.paused_until > task.at:
        until = show_instant(limit.paused_until)
        sentence = f"The limit {limit.name} is paused until {until}: a task was throttled."
        return Why(code=Cause.LIMIT_PAUSED, sentence=sentence, until=limit.paused_until)
    bounds = []
    if limit.most is not None:
        bounds.append(f"{limit.running} of {limit.most} run")
    if limit.rate is not None:
        bounds.append(f"{limit.rate} may start")
    shown = f" ({', '.join(bounds)})" if bounds else ""
    sentence = f"The limit {limit.name} has no room{shown}; {limit.waiting} wait in its line."
    return Why(code=Cause.LIMIT_FULL, sentence=sentence, until=limit.opens_at)


def _until_due(given: Circumstances) -> Why:
    task, due = given.task, show_instant(given.task.due_at)
    if task.due_at <= task.at:
        return why_waits.due(given)
    if task.state is State.RETRYING:
        sentence = f"Attempt {task.attempt} ended with {task.fault}; the next is due at {due}."
        return Why(code=Cause.RETRY_LATER, sentence=sentence, until=task.due_at)
    if task.reason == LACKS_TYPE:
        sentence = f"A worker of the pool {task.pool!r} does not know the type {task.type!r}; "
        sentence += f"the next try is at {due}."
        return Why(code=Cause.WORKER_LACKS_TYPE, sentence=sentence, until=task.due_at)
    return Why(code=Cause.DUE_LATER, sentence=f"It is due at {due}.", until=task.due_at)


def _running(task: TaskFacts) -> Why:
    attempt, since = f"Attempt {task.attempt}", task.started_at or task.at
    lease = task.lease_expires_at or task.at
    heard = show_ago(task.at - (lease - _LEASE))
    if lease <= task.at:
        sentence = f"{attempt} was lost with {task.worker}, last heard {heard}; it is taken back."
        return Why(code=Cause.WORKER_SILENT, sentence=sentence, since=since)
    if task.cancel_requested_at is not None:
        asked = show_ago(task.at - task.cancel_requested_at)
        sentence = f"{attempt} runs on {task.worker}, asked to stop{_by(task)} {asked}."
        return Why(code=Cause.STOPPING, sentence=sentence, since=since)
    sentence = f"{attempt} runs on {task.worker} since {show_instant(since)}, heard {heard}."
    return Why(code=Cause.RUNNING, sentence=sentence, since=since)


def _ended(task: TaskFacts) -> Why:
    since = task.finished_at or task.at
    at, attempts = show_instant(since), f"{task.attempt} attempt{'s' * (task.attempt != 1)}"
    match task.state:
        case State.SUCCEEDED:
            sentence = f"It succeeded at {at}, in attempt {task.attempt}."
        case State.FAILED:
            sentence = f"It failed at {at} after {attempts}, with {task.fault}."
        case State.QUARANTINED:
            times = f"{task.crash_count} time{'s' * (task.crash_count != 1)}"
            sentence = f"It was quarantined at {at}: its worker died {times}."
        case State.EXPIRED:
            sentence = f"It expired at {at}: {task.reason or 'not started in time'}."
        case _:
            started = f"after {attempts}" if task.attempt else "before it had started"
            sentence = f"It was cancelled at {at}{_by(task)}, {started}."
    return Why(code=Cause(task.state), sentence=sentence, since=since)


def _by(task: TaskFacts) -> str:
    return f" by {task.cancelled_by}" if task.cancelled_by else ""
