"""What in the broker keeps a wake-up from its worker: alarms, bindings, queues, consumers."""

from taskyard.core.causes import Cause, Why
from taskyard.core.circumstances import PoolFacts, TaskFacts
from taskyard.core.units import show_instant
from taskyard.core.wakeup import Confirm


def no_pool(task: TaskFacts) -> Why:
    """Return that no pool takes the type."""
    sentence = f"No pool of the routing table takes the type {task.type!r} any more."
    return Why(code=Cause.NO_POOL, sentence=sentence)


def trouble(task: TaskFacts, pool: PoolFacts) -> Why | None:
    """Return what is the matter with the broker as a whole."""
    if not pool.broker_up:
        return Why(code=Cause.BROKER_AWAY, sentence="The message broker does not answer.")
    if pool.blocked and task.queued_at is None:
        sentence = "The message broker lets nobody publish: it has too little memory or disk."
        return Why(code=Cause.BROKER_BLOCKED, sentence=sentence)
    return None


def refused(task: TaskFacts) -> Why | None:
    """Return how the broker refused the wake-up, if it did."""
    if not task.publish_failures:
        return None
    tries = f"{task.publish_failures} time{'s' * (task.publish_failures != 1)}"
    again = f"the next try is at {show_instant(task.publish_at)}."
    if task.reason == Confirm.UNROUTABLE:
        sentence = f"No queue is bound for the type {task.type!r} (refused {tries}); {again}"
        return Why(code=Cause.UNROUTABLE, sentence=sentence, until=task.publish_at)
    sentence = f"The queue of the pool {task.pool!r} refused its wake-up {tries}; {again}"
    return Why(code=Cause.BROKER_REFUSES, sentence=sentence, until=task.publish_at)


def no_queue(task: TaskFacts, pool: PoolFacts) -> Why | None:
    """Return that the pool's queue is missing, if it is."""
    if pool.consumers is not None:
        return None
    sentence = f"The queue of the pool {pool.name!r} is not in the broker."
    return Why(code=Cause.NO_QUEUE, sentence=sentence, since=task.due_at)


def no_worker(task: TaskFacts, pool: PoolFacts) -> Why | None:
    """Return that nobody consumes the queue, if it is so."""
    if pool.consumers:
        return None
    sentence = f"No worker consumes the queue of the pool {pool.name!r}."
    return Why(code=Cause.NO_WORKER, sentence=sentence, since=task.due_at, ahead=pool.ahead)
