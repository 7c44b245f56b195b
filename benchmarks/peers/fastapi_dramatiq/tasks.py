"""Dramatiq on RabbitMQ with its defaults: persistent messages, no confirms, no results."""

import os

import dramatiq
import tally
from dramatiq.brokers.rabbitmq import RabbitmqBroker

broker = RabbitmqBroker(url=os.environ["PEER_AMQP_URL"])
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="bench.noop", queue_name="bench")
def noop(n: int, data: str = "") -> None:
    """Do nothing."""
    tally.run.add()
