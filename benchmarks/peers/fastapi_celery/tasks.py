"""Celery on RabbitMQ with its own database result backend, so that starts and results are kept."""

import os

import tally
from celery import Celery

app = Celery(
    "fastapi_celery",
    broker=os.environ["PEER_AMQP_URL"],
    backend=f"db+{os.environ['PEER_DATABASE_URL']}",
)
app.conf.task_track_started = True


@app.task(name="bench.noop")
def noop(n: int, data: str = "") -> dict[str, int | str]:
    """Do nothing."""
    tally.run.add()
    return {"n": n, "data": data}


if __name__ == "__main__":  # before the front and the workers, which would do it at once
    app.backend.ResultSession().close()
