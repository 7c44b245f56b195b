"""Private servers that end and come back: what fault drills do to them."""

from pathlib import Path

import amqp
import psycopg
import pytest

from taskyard.dev import processes, rabbitmq, start_servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not rabbitmq.is_installed(), reason="rabbitmq-server is not installed"),
]


def connected(port: int, password: str) -> amqp.Connection:
    connection = amqp.Connection(f"127.0.0.1:{port}", userid="taskyard", password=password)
    connection.virtual_host = "v"
    connection.connect()
    return connection


def test_both_servers_come_back_on_their_ports_with_what_was_durable(folder: Path) -> None:
    """A crash and a new start change neither the URL nor what was confirmed or committed."""
    with start_servers(folder, vhosts=("v",)) as servers:
        # Given a durable message and a committed row
        broker, database = servers.rabbitmq, servers.postgres
        assert broker is not None
        assert database is not None
        with connected(broker.port, broker.password) as connection:
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, auto_delete=False)
            channel.basic_publish_confirm(amqp.Message("m", delivery_mode=2), routing_key="kept")
        # A node answers a declare before it is on the disk; messages it confirms after.
        broker.control("eval", "mnesia:sync_log().")
        with psycopg.connect(database.url(), autocommit=True) as session:
            session.execute("CREATE TABLE kept AS SELECT 1 AS value")
        # When both end at once and are started again
        broker.node.kill()
        broker.node.wait()
        database.crash()
        assert processes.is_free(broker.port)
        broker, database = broker.again(), database.again()
        try:
            broker.wait_ready("v")
            database.wait_ready()
            # Then
            with connected(broker.port, broker.password) as connection:
                message = connection.channel().basic_get("kept")
                assert message is not None
                assert message.body == "m"
            with psycopg.connect(database.url()) as session:
                assert session.execute("SELECT value FROM kept").fetchone() == (1,)
        finally:
            broker.stop()
            database.stop()


def test_an_alarm_of_the_node_is_raised_and_taken_back(folder: Path) -> None:
    """Commands reach the private node: publishers are blocked, then served again."""
    given = "postgresql://given"
    with start_servers(folder, vhosts=("v",), database_url=given) as servers:
        broker = servers.rabbitmq
        assert broker is not None
        said: list[str] = []
        with connected(broker.port, broker.password) as connection:
            connection.on_blocked = lambda _: said.append("blocked")
            connection.on_unblocked = lambda: said.append("unblocked")
            # When
            broker.control("set_vm_memory_high_watermark", "0")
            connection.channel().basic_publish(amqp.Message("m"), routing_key="nowhere")
            connection.drain_events(timeout=10)
            broker.control("set_vm_memory_high_watermark", "0.4")
            connection.drain_events(timeout=10)
            # Then
            assert said == ["blocked", "unblocked"]
