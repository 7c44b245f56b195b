"""Taskiq on RabbitMQ with aio-pika: persistent messages, published with confirms."""

import os

import tally
from results import ResultTable
from taskiq_aio_pika import AioPikaBroker

results = ResultTable(os.environ["PEER_DATABASE_URL"])
broker = AioPikaBroker(os.environ["PEER_AMQP_URL"]).with_result_backend(results)


@broker.task(task_name="bench.noop")
async def noop(n: int, data: str = "") -> dict[str, int | str]:
    """Do nothing."""
    tally.run.add()
    return {"n": n, "data": data}
