"""broker/consumer.py on a real broker: what it holds is bounded, in number and in bytes."""

import asyncio

import aio_pika
import pytest

from taskyard.broker.consumer import Bounds, open_consumer
from taskyard.broker.declare import connected
from tests.events import until


@pytest.fixture
async def queue(amqp_url: str, prefix: str) -> str:
    """A queue with bodies of 1,000 bytes, and of 10, 20, 30 and 40 after it."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        made = await channel.declare_queue(f"{prefix}.large", durable=True)
        for size in (1_000, 10, 20, 30, 40):
            message = aio_pika.Message(bytes(range(256)) * 4, content_type="text/plain")
            message.body = message.body[:size]
            await channel.default_exchange.publish(message, made.name)
    return made.name


async def test_of_a_large_body_only_the_beginning_is_held(amqp_url: str, queue: str) -> None:
    """With its whole size; what is no larger than the bound is held whole."""
    bounds = Bounds(messages=10, largest=40, kept=8)
    async with open_consumer(amqp_url, queue, bounds=bounds) as consumer, asyncio.timeout(20):
        taken = [await consumer.take(1, most_bytes=1_000_000) for _ in range(5)]
    sizes = [(len(message.body), message.size) for [message] in taken]
    assert sizes == [(8, 1_000), (10, 10), (20, 20), (30, 30), (40, 40)]
    assert taken[0][0].body == bytes(range(8))


async def test_no_more_bytes_are_taken_together_than_asked_for(amqp_url: str, queue: str) -> None:
    """But one message at least, however large."""
    bounds = Bounds(messages=10, largest=10_000, kept=0)
    async with open_consumer(amqp_url, queue, bounds=bounds) as consumer, asyncio.timeout(20):
        sizes: list[int] = []
        together: list[int] = []
        while len(sizes) < 5:
            taken = await consumer.take(10, most_bytes=60)
            sizes += [message.size for message in taken]
            together.append(sum(message.size for message in taken))
    assert sizes == [1_000, 10, 20, 30, 40]
    assert together[0] == 1_000
    assert max(together[1:]) <= 60


async def test_no_more_messages_are_held_than_the_bound(amqp_url: str, queue: str) -> None:
    """The rest stays with the broker until some are acknowledged."""
    bounds = Bounds(messages=2, largest=10_000, kept=0)
    async with open_consumer(amqp_url, queue, bounds=bounds) as consumer, asyncio.timeout(20):
        with connected(amqp_url) as broker:
            channel = broker.channel()

            async def ready() -> int:
                return int(channel.queue_declare(queue, passive=True).message_count)

            await until(ready, 3)
            await consumer.acknowledge(await consumer.take(2, most_bytes=10_000))
            await until(ready, 1)
