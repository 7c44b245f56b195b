"""A broker that lets nobody publish is told as the cause, and by the doctor."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taskyard.broker.administration import Rabbitmqctl
from taskyard.core.causes import Cause
from taskyard.dev import rabbitmq, start_servers
from taskyard.dev.rabbitmq import CONTROL, RabbitServer
from taskyard.storage.pool import AsyncConnection
from tests.scene import open_scene

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not rabbitmq.is_installed(), reason="rabbitmq-server is not installed"),
]


@pytest.fixture
def broker() -> Iterator[tuple[RabbitServer, str, str]]:
    """A node of this test alone, its URL, and the command for it."""
    with tempfile.TemporaryDirectory(prefix="taskyard-dev-") as folder:
        Path(folder).chmod(0o755)
        given = "postgresql://given"
        with start_servers(Path(folder), vhosts=("v",), database_url=given) as servers:
            assert servers.rabbitmq is not None
            yield servers.rabbitmq, servers.amqp_url("v"), str(Path(folder) / CONTROL)


async def test_a_broker_with_an_alarm_is_told(
    connection: AsyncConnection, database_url: str, broker: tuple[RabbitServer, str, str]
) -> None:
    """It answers questions, and blocks whoever publishes: the publisher has noticed."""
    node, url, command = broker
    async with open_scene(connection, database_url=database_url, amqp_url=url, prefix="b") as scene:
        await scene.yard.publisher.connected.wait()
        node.control("set_vm_memory_high_watermark", "0")
        first, task = await scene.task(), await scene.task()
        assert (await scene.why(task)).code is Cause.DISPATCHED_SOON
        await scene.publish(first)
        assert (await scene.why(task)).code is Cause.BROKER_BLOCKED
    [alarm] = Rabbitmqctl(command).condition().alarms
    assert "memory" in alarm
