"""The publisher on a real broker: a channel that goes deaf, a broker that blocks."""

import asyncio
from typing import Any
from uuid import uuid4

import aiormq
import pytest

from taskyard.broker import publisher as module
from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.core.task import TaskId
from taskyard.core.wakeup import Confirm, WakeUp


@pytest.fixture
def exchange(amqp_url: str, prefix: str) -> Any:
    with connected(amqp_url) as broker:
        channel = broker.channel()
        channel.exchange_declare(prefix, "topic", durable=False, auto_delete=False)
        channel.queue_declare(prefix, durable=False, auto_delete=False)
        channel.queue_bind(prefix, prefix, "#")
        yield prefix
        channel = broker.channel()
        channel.queue_delete(prefix)
        channel.exchange_delete(prefix)


async def test_a_channel_without_confirms_is_replaced(
    exchange: str, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection is up and heartbeats come, but nobody answers: a new one is made."""
    monkeypatch.setattr(module, "_CONFIRM_TIMEOUT", 0.3)
    wakeup = WakeUp(id=TaskId(uuid4()), type="a.b", priority=4)
    async with open_publisher(amqp_url, exchange) as publisher:
        await publisher.connected.wait()
        assert await publisher.publish([wakeup]) == [Confirm.CONFIRMED]

        async def deaf(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        assert isinstance(publisher._channel, aiormq.Channel)
        monkeypatch.setattr(publisher._channel, "basic_publish", deaf)
        assert await publisher.publish([wakeup]) == [Confirm.UNANSWERED]
        async with asyncio.timeout(15):
            while await publisher.publish([wakeup]) != [Confirm.CONFIRMED]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_no_new_connection_while_the_broker_blocks(
    exchange: str, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be blocked as well; publishing goes on where it stopped."""
    monkeypatch.setattr(module, "_CONFIRM_TIMEOUT", 0.3)
    wakeup = WakeUp(id=TaskId(uuid4()), type="a.b", priority=4)
    async with open_publisher(amqp_url, exchange) as publisher:
        await publisher.connected.wait()
        channel = publisher._channel
        assert isinstance(channel, aiormq.Channel)

        async def blocked() -> None:
            await asyncio.Event().wait()

        async def deaf(*_: Any, **__: Any) -> None:
            await asyncio.Event().wait()

        with monkeypatch.context() as alarm:
            alarm.setattr(channel.connection, "ready", blocked)
            alarm.setattr(channel, "basic_publish", deaf)
            for _ in range(5):
                assert await publisher.publish([wakeup]) == [Confirm.UNANSWERED]
        assert publisher._channel is channel
        assert await publisher.publish([wakeup]) == [Confirm.CONFIRMED]
