"""Pool calm: threads."""

import gc

from kombu.asynchronous import get_event_loop

from taskyard import task
from taskyard.worker.queues import PoolConsumers
from tinytasks.passage import stay
from tinytasks.spans import own_span


@task("calm.add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@task("calm.deafen")
def deafen() -> None:
    """Have the worker's consumers forget their queues, as a broker might: threads can reach them.

    On the event loop, which alone may use the connection.
    """
    for each in gc.get_objects():
        if isinstance(each, PoolConsumers):
            for consumer in each._consumers.values():
                get_event_loop().call_soon(consumer.cancel)


@task("calm.pass")
def pass_through(path: str, seconds: float) -> None:
    """Write down when it began and ended: a test counts what ran at once."""
    stay(path, seconds)


@task("calm.traced")
def traced() -> str:
    """Do a part of the work in a span of its own."""
    return own_span()
