"""worker/queues.py: a pool's consumers follow the ledger, on a real broker and database."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import amqp
import psycopg
import pytest
from amqp.exceptions import NotFound
from kombu import Connection as BrokerConnection

from taskyard.broker.declare import connected
from taskyard.broker.ledger import PoolQueues
from taskyard.broker.wakeup import BODY, CONTENT_ENCODING, CONTENT_TYPE
from taskyard.core.routing import Pool, QueueType, RoutingTable
from taskyard.services.topology import apply_topology
from taskyard.worker.queues import PoolConsumers, QueueWatch
from tests.stack import until

Connection = psycopg.AsyncConnection[Any]
Apply = Callable[[QueueType], Any]

WAKE_UP = amqp.Message(BODY, content_type=CONTENT_TYPE, content_encoding=CONTENT_ENCODING)


@pytest.fixture
def apply(connection: Connection, amqp_url: str, prefix: str) -> Apply:
    """`taskyard topology apply` for a pool with one kind of queue."""

    async def applied(kind: QueueType) -> None:
        pool = Pool(name="media", tasks=("image.*",), modules=("m",), queue_type=kind)
        table = RoutingTable(pools={"media": pool}, defaults={})
        await apply_topology(connection, amqp_url=amqp_url, table=table, prefix=prefix)

    return applied


@pytest.fixture
def watch(database_url: str, amqp_url: str, prefix: str) -> Iterator[QueueWatch]:
    made = QueueWatch(database_url=database_url, amqp_url=amqp_url, prefix=prefix, pool="media")
    yield made
    made.end()


@pytest.fixture
def broker(amqp_url: str) -> Iterator[BrokerConnection]:
    """The connection of a worker."""
    with BrokerConnection(amqp_url.replace("amqp://", "pyamqp://")) as opened:
        yield opened


class Worker:
    """What Celery is to PoolConsumers."""

    def __init__(self, broker: BrokerConnection, watch: QueueWatch) -> None:
        self.broker = broker
        self.received: list[Any] = []
        self.gone = 0
        self.consumers = PoolConsumers(
            broker, watch, prefetch=2, first=True,
            on_decode_error=lambda *_: None, on_gone=self._count,
        )  # fmt: skip
        self.consumers.on_message = self.received.append

    def _count(self) -> None:
        self.gone += 1

    def turn(self) -> None:
        """Let the connection take in what the broker says."""
        with suppress(TimeoutError):
            self.broker.drain_events(timeout=0.1)


def look(amqp_url: str, queue: str) -> tuple[int, int] | None:
    """Return how many messages and consumers a queue has; None when it is gone."""
    with connected(amqp_url) as opened:
        try:
            found = opened.channel().queue_declare(queue, passive=True)
        except NotFound:
            return None
        return found.message_count, found.consumer_count


async def test_a_watch_hears_of_every_apply(
    apply: Apply, watch: QueueWatch, amqp_url: str, prefix: str
) -> None:
    """Its thread reads what the pool's queues are now, and says so."""
    old, new = f"{prefix}.pool.media", f"{prefix}.pool.media.v2"
    # Given a watch at work, and a queue that holds a message
    await apply(QueueType.CLASSIC)
    heard = threading.Event()
    watch.on_change = heard.set
    watch.begin()
    assert heard.wait(20)
    assert watch.latest == PoolQueues(current=old)
    with connected(amqp_url) as other:
        other.channel().basic_publish_confirm(WAKE_UP, f"{prefix}.tasks", "image.cut")
    # When the queue is replaced, and when it is empty
    await apply(QueueType.QUORUM)
    until(
        lambda: watch.latest,
        satisfied=lambda latest: latest == PoolQueues(current=new, draining=(old,)),
    )
    with connected(amqp_url) as other:
        other.channel().queue_purge(old)
    await apply(QueueType.QUORUM)
    # Then it knew of both queues, and knows of one
    until(lambda: watch.latest, satisfied=lambda latest: latest == PoolQueues(current=new))


async def test_a_queue_that_is_removed_takes_no_other_along(
    apply: Apply, watch: QueueWatch, broker: BrokerConnection, amqp_url: str, prefix: str
) -> None:
    """What was delivered from it stays in the worker's hands, and the new queue delivers."""
    old, new = f"{prefix}.pool.media", f"{prefix}.pool.media.v2"
    # Given a worker with a message in its hands
    await apply(QueueType.CLASSIC)
    assert watch.look()
    worker = Worker(broker, watch)
    worker.consumers.consume()
    with connected(amqp_url) as other:
        other.channel().basic_publish_confirm(WAKE_UP, f"{prefix}.tasks", "image.cut")
    until(lambda: worker.turn() or worker.received)
    # When its queue is replaced and goes
    await apply(QueueType.QUORUM)
    assert look(amqp_url, old) is None
    until(lambda: worker.turn() or worker.gone)
    # Then the message can still be acknowledged,
    worker.received[0].ack()
    # and the worker consumes the new queue on the same connection.
    assert watch.look()
    worker.consumers.consume()
    with connected(amqp_url) as other:
        other.channel().basic_publish_confirm(WAKE_UP, f"{prefix}.tasks", "image.cut")
    until(lambda: worker.turn() or len(worker.received) == 2)
    worker.received[1].ack()
    until(lambda: look(amqp_url, new), satisfied=lambda found: found == (0, 1))


async def test_a_missing_queue_ends_a_worker_only_at_its_start(
    apply: Apply, watch: QueueWatch, broker: BrokerConnection, amqp_url: str, prefix: str
) -> None:
    """Later it is asked for again, and consumed once it is back."""
    queue = f"{prefix}.pool.media"
    worker = Worker(broker, watch)
    with pytest.raises(NotFound):
        worker.consumers.consume()
    await apply(QueueType.CLASSIC)
    worker.consumers.consume()
    with connected(amqp_url) as other:
        other.channel().queue_delete(queue)
    until(lambda: worker.turn() or worker.gone)
    worker.consumers.consume()
    await apply(QueueType.CLASSIC)
    worker.consumers.consume()
    assert look(amqp_url, queue) == (0, 1)


async def test_a_worker_that_stops_consumes_nothing_more(
    apply: Apply, watch: QueueWatch, broker: BrokerConnection, amqp_url: str, prefix: str
) -> None:
    """Whatever the ledger says meanwhile."""
    await apply(QueueType.CLASSIC)
    worker = Worker(broker, watch)
    worker.consumers.consume()
    assert look(amqp_url, f"{prefix}.pool.media") == (0, 1)
    worker.consumers.cancel()
    worker.consumers.consume()
    assert look(amqp_url, f"{prefix}.pool.media") == (0, 0)
