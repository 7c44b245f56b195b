"""Celery on Redis, for messages and for results, with Celery's defaults."""

import os

import tally
from celery import Celery

REDIS_URL = os.environ["PEER_REDIS_URL"]

app = Celery("flask_celery_redis", broker=REDIS_URL, backend=REDIS_URL)


@app.task(name="bench.noop")
def noop(n: int, data: str = "") -> dict[str, int | str]:
    """Do nothing."""
    tally.run.add()
    return {"n": n, "data": data}
