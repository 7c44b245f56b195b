"""Celery on RabbitMQ with its stock database result backend, so that starts and results are kept.

`python tasks.py N` queues N tasks.
"""

import os
import sys

from celery import Celery

app = Celery(
    "celery_database",
    broker=os.environ["PEER_AMQP_URL"],
    backend=f"db+{os.environ['PEER_DATABASE_URL']}",
)
app.conf.task_track_started = True


@app.task(name="bench.noop")
def noop(n: int) -> dict[str, int]:
    """Do nothing."""
    return {"n": n}


def fill(count: int) -> None:
    """Queue tasks over one connection."""
    with app.producer_or_acquire() as producer:
        for n in range(count):
            noop.apply_async(kwargs={"n": n}, producer=producer)


if __name__ == "__main__":
    fill(int(sys.argv[1]))
