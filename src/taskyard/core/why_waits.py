"""Why a task that is due does not start: from the dispatcher over the broker to the workers.

Whatever is asked first hides what comes after it: with no broker, nobody can tell of workers.
"""

from datetime import timedelta

from taskyard.core import why_broker
from taskyard.core.causes import Cause, Why
from taskyard.core.circumstances import Circumstances, PoolFacts, TaskFacts
from taskyard.core.units import show_ago, show_instant
from taskyard.core.wakeup import Confirm

# A dispatcher leaves a trace every second.
_DISPATCHER_GONE = 10.0
# Longer than a free worker takes for a wake-up; the reconciler looks at what is older than this.
_SETTLED = timedelta(seconds=10)


def due(given: Circumstances) -> Why:
    """Return why a task whose time has come is not pending yet."""
    task = given.task
    if given.pool is not None and (
        found := _paused(given.pool) or _no_dispatcher(task, given.pool)
    ):
        return found
    sentence = f"It is due since {show_instant(task.due_at)}; a dispatcher takes it up in a moment."
    return Why(code=Cause.DISPATCHED_SOON, sentence=sentence, since=task.due_at)


def pending(given: Circumstances) -> Why:
    """Return why a task that is due has not reached the broker."""
    task, pool = given.task, given.pool
    if pool is None:
        return why_broker.no_pool(task)
    found = (
        _paused(pool)
        or why_broker.trouble(task, pool)
        or why_broker.refused(task)
        or _held(task)
        or _no_dispatcher(task, pool)
    )
    return found or why_broker.no_queue(task, pool) or _window(task, pool)


def queued(given: Circumstances) -> Why:
    """Return why nobody has claimed a task whose wake-up the broker has confirmed."""
    task, pool = given.task, given.pool
    if pool is None:
        return why_broker.no_pool(task)
    since = task.queued_at or task.at
    if (
        found := _paused(pool)
        or why_broker.trouble(task, pool)
        or why_broker.no_queue(task, pool)
        or why_broker.no_worker(task, pool)
    ):
        return found
    busy = f"{pool.counts.running} of {pool.slots} slots of the pool {pool.name!r} are busy"
    if not pool.counts.announced:
        sentence = f"No worker of the pool {pool.name!r} has announced the type {task.type!r}."
        return Why(code=Cause.WORKER_LACKS_TYPE, sentence=sentence, since=since)
    if pool.counts.running >= pool.slots or pool.ahead:
        sentence = f"It is in the queue; {busy}, {_go(pool.ahead)} before it."
        return Why(code=Cause.SLOTS_BUSY, sentence=sentence, since=since, ahead=pool.ahead)
    if task.at - since > _SETTLED:
        sentence = f"Nobody has taken its wake-up, confirmed {show_ago(task.at - since)}; {busy}."
        return Why(code=Cause.NOT_TAKEN, sentence=sentence, since=since)
    return Why(code=Cause.STARTS_SOON, sentence=f"It is next; {busy}.", since=since, ahead=0)


def _paused(pool: PoolFacts) -> Why | None:
    since, reason = pool.counts.paused_at, pool.counts.pause_reason
    if since is None:
        return None
    said = f": {reason.rstrip('.')}" if reason else ""
    sentence = f"The pool {pool.name!r} is paused since {show_instant(since)}{said}."
    return Why(code=Cause.POOL_PAUSED, sentence=sentence, since=since)


def _held(task: TaskFacts) -> Why | None:
    if task.publish_at <= task.at:
        return None
    sentence = f"The API that took it publishes it itself, until {show_instant(task.publish_at)}."
    return Why(code=Cause.HELD, sentence=sentence, until=task.publish_at)


def _no_dispatcher(task: TaskFacts, pool: PoolFacts) -> Why | None:
    ago = pool.counts.dispatcher_ago
    if (ago is not None and ago < _DISPATCHER_GONE) or task.at - task.due_at < _SETTLED:
        return None
    seen = "never" if ago is None else show_ago(timedelta(seconds=ago))
    sentence = f"It is due since {show_instant(task.due_at)}, but no dispatcher runs: seen {seen}."
    return Why(code=Cause.NO_DISPATCHER, sentence=sentence, since=task.due_at)


def _window(task: TaskFacts, pool: PoolFacts) -> Why:
    held, since = pool.counts.held, task.due_at
    if pool.counts.window is None or held < pool.counts.window:
        return _soon(task, pool)
    if nobody := why_broker.no_worker(task, pool):
        return nobody
    if (line := pool.ahead - held) > 0:
        sentence = (
            f"{_go(pool.ahead)} before it: {held} that the broker holds, and {line} by their "
        )
        sentence += "priority, their tenant's share or their age."
        return Why(code=Cause.OTHERS_FIRST, sentence=sentence, since=since, ahead=pool.ahead)
    sentence = (
        f"It is next, but the broker holds {held} wake-ups of the pool {pool.name!r} already, "
    )
    sentence += "as many as it may."
    return Why(code=Cause.WINDOW_FULL, sentence=sentence, since=since, ahead=pool.ahead)


def _soon(task: TaskFacts, pool: PoolFacts) -> Why:
    code, sentence = Cause.DISPATCHED_SOON, "A dispatcher publishes its wake-up in a moment."
    if task.reason == Confirm.UNANSWERED:
        code = Cause.BROKER_SILENT
        sentence = "The message broker did not confirm its wake-up; it is published again."
    return Why(code=code, sentence=sentence, since=task.due_at, ahead=pool.ahead)


def _go(ahead: int) -> str:
    return f"{ahead} go{'es' * (ahead == 1)}"
