"""Celery on RabbitMQ that keeps no results: what Celery itself can do.

`python tasks.py N` queues N tasks.
"""

import os
import sys

import tally
from celery import Celery

app = Celery("celery_no_results", broker=os.environ["PEER_AMQP_URL"])


@app.task(name="bench.noop", ignore_result=True)
def noop(n: int, data: str = "") -> None:
    """Do nothing."""
    tally.run.add()


def fill(count: int) -> None:
    """Queue tasks over one connection."""
    with app.producer_or_acquire() as producer:
        for n in range(count):
            noop.apply_async(kwargs={"n": n}, producer=producer)
    tally.taken.add(count)


if __name__ == "__main__":
    fill(int(sys.argv[1]))
