"""Pool calm: threads."""

import gc

from taskyard import task
from taskyard.worker.queues import PoolConsumers


@task("calm.add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@task("calm.deafen")
def deafen() -> None:
    """Have the worker's consumers forget their queues, as a broker might; threads reach them."""
    for each in gc.get_objects():
        if isinstance(each, PoolConsumers):
            for consumer in each._consumers.values():
                consumer.cancel()
