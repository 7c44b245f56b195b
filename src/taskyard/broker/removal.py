"""Removing a pool's queue that is wanted no more, and never one that holds messages. Blocking.

A queue that was replaced goes as soon as it is empty, whoever consumes it: its consumers are told
by the broker, and what they hold in their hands is theirs (services/topology.py publishes again
what they may lose). A queue whose pool is gone stays while somebody consumes it, since nobody else
would run what comes back to it.
"""

import amqp
from amqp.exceptions import AMQPNotImplementedError, NotFound, PreconditionFailed

from taskyard.broker.declare import connected
from taskyard.broker.ledger import KnownQueue
from taskyard.broker.topology import Change, Step, Topology


def foresee(connection: amqp.Connection, queue: KnownQueue, topology: Topology) -> Step | None:
    """Return what would become of a queue; None when it is gone already."""
    try:
        with connection.channel() as channel:
            found = channel.queue_declare(queue.name, passive=True)
    except NotFound:
        return None
    successor = _successor(queue, topology)
    messages, consumers = found.message_count, found.consumer_count
    if successor is None:
        if messages or consumers:
            return _left_alone(queue, f"{messages} messages and {consumers} consumers")
        return Step(change=Change.REMOVE, what=f"queue {queue.name} (its pool is gone)")
    if messages:
        return _draining(queue, successor, f"{messages} messages and {consumers} consumers")
    return Step(change=Change.REMOVE, what=f"queue {queue.name} (replaced by {successor})")


def remove(
    connection: amqp.Connection, queue: KnownQueue, topology: Topology, *, url: str
) -> Step | None:
    """Remove a queue unless it is needed still; return what became of it, None if it was gone.

    A classic queue looks and goes in one step. Others refuse conditions with an error that ends
    the connection (540, rabbit_quorum_queue.erl), so this has its own; they are looked at again.
    """
    step = foresee(connection, queue, topology)
    if step is None or step.change is not Change.REMOVE:
        return step
    successor = _successor(queue, topology)
    with connected(url) as own:
        try:
            own.channel().queue_delete(queue.name, if_unused=successor is None, if_empty=True)
            return step
        except PreconditionFailed:
            since = "messages or consumers since a moment ago"
            return _draining(queue, successor, since) if successor else _left_alone(queue, since)
        except AMQPNotImplementedError:
            step = foresee(connection, queue, topology)
    if step is not None and step.change is Change.REMOVE:
        with connection.channel() as channel:
            channel.queue_delete(queue.name)
    return step


def _successor(queue: KnownQueue, topology: Topology) -> str | None:
    return next((each.name for each in topology.queues if each.pool == queue.pool), None)


def _left_alone(queue: KnownQueue, holds: str) -> Step:
    what = f"queue {queue.name} has no pool any more, but {holds}: left alone"
    return Step(change=Change.CONFLICT, what=what)


def _draining(queue: KnownQueue, successor: str, holds: str) -> Step:
    what = f"queue {queue.name} was replaced by {successor}, but {holds}: goes once it is empty"
    return Step(change=Change.DRAIN, what=what)
