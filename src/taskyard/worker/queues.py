"""Which queues a worker consumes, and a consumer for each of them."""

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from amqp.exceptions import NotFound
from kombu.connection import Connection as BrokerConnection
from kombu.entity import Queue
from kombu.messaging import Consumer

from taskyard.broker.ledger import pool_queues
from taskyard.broker.topology import broker_name
from taskyard.storage.listen import TOPOLOGY, listen_blocking
from taskyard.storage.pool import Connection, connect_sync
from taskyard.storage.topology import queues_of

log = structlog.get_logger(__name__)


class QueueWatch:
    """What the ledger says of one pool's queues, kept as new as it is.

    A thread listens, so that a slow database never holds up the worker's event loop; `on_change` is
    called from it.
    """

    def __init__(self, *, database_url: str, amqp_url: str, prefix: str, pool: str) -> None:
        self._database_url = database_url
        self._broker = broker_name(amqp_url, prefix)
        self._prefix = prefix
        self._pool = pool
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()
        self.latest = pool_queues((), prefix=prefix, pool=pool)
        self.on_change: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Look, and keep looking from now on. Call it after the fork of the pool's processes."""
        if self._thread is None:
            self.look()
            self._thread = threading.Thread(target=self._watch, name="queue watch", daemon=True)
            self._thread.start()

    def end(self) -> None:
        """Let the thread end, and wait for it."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def look(self) -> bool:
        """Ask the ledger at once; return whether the database answered."""
        try:
            with connect_sync(self._database_url, name=f"queues {self._pool}") as connection:
                self._read(connection)
        except psycopg.OperationalError as error:
            log.warning("queues of the pool not read", error=str(error).strip())
            return False
        return True

    def _watch(self) -> None:
        name = f"queue watch {self._pool}"
        for connection in listen_blocking(
            self._database_url, TOPOLOGY, name=name, ended=self._ended
        ):
            self._read(connection)
            self.on_change()

    def _read(self, connection: Connection) -> None:
        known = [
            (name, state) for _, name, state in queues_of(connection, self._broker, self._pool)
        ]
        self.latest = pool_queues(known, prefix=self._prefix, pool=self._pool)


class PoolConsumers:
    """A consumer on a channel of its own for each queue, where Celery expects its only one.

    A queue that is drained goes under its consumers, and a channel that asks for what is gone is
    closed: here neither touches another queue, nor the acknowledgements of tasks that run. Celery's
    step and loop use no more of a consumer than `on_message`, `consume`, `qos`, `cancel`, `close`.
    """

    def __init__(
        self,
        connection: BrokerConnection,
        watch: QueueWatch,
        *,
        prefetch: int,
        first: bool,
        on_decode_error: Callable[[Any, Exception], None],
        on_gone: Callable[[], None],
    ) -> None:
        self.on_message: Callable[[Any], None] | None = None
        self._connection = connection
        self._watch = watch
        self._prefetch = prefetch
        self._first = first
        self._on_decode_error = on_decode_error
        self._on_gone = on_gone
        self._consumers: dict[str, Consumer] = {}
        self._cancelled = False

    def consume(self) -> None:
        """Consume what the ledger names and nothing else, as far as it is there.

        Raises NotFound when the current queue is missing at the start of the worker; later it is
        asked for again and again, because ending would take the tasks that run along.
        """
        if self._cancelled:  # the worker stops; its loop turns on for what still runs
            return
        queues = self._watch.latest
        for name in self._consumers.keys() - {queues.current, *queues.draining}:
            self._consumers.pop(name).cancel()
        for name in (queues.current, *queues.draining):
            if name not in self._consumers:
                self._add(name, current=name == queues.current)
        self._first = False

    def _add(self, name: str, *, current: bool) -> None:
        channel = self._connection.channel()
        channel.basic_qos(0, self._prefetch, False)
        consumer = Consumer(
            channel,
            [Queue(name, exchange=None, routing_key="", no_declare=True)],
            on_message=self.on_message,
            on_decode_error=self._on_decode_error,
            accept=["json"],
            auto_declare=False,
        )
        try:
            consumer.consume()
        except NotFound:
            if current and self._first:
                raise
            if current:
                log.error("queue is missing, run `taskyard topology apply`", queue=name)
            return
        [tag] = channel.callbacks
        # Without it a queue that is removed would end the connection, and with it all that is held.
        channel.cancel_callbacks[tag] = lambda _: self._forget(name)
        self._consumers[name] = consumer
        log.info("consuming", queue=name)

    def _forget(self, name: str) -> None:
        """The broker removed a queue. Its channel stays, for what is not acknowledged yet."""
        self._consumers.pop(name, None)
        log.info("a queue was removed", queue=name)
        self._on_gone()

    def qos(self, prefetch_count: int, **_: Any) -> None:
        """Set what queues found from now on may deliver ahead; it never changes while one runs."""
        self._prefetch = prefetch_count

    def cancel(self) -> None:
        """Consume nothing more; what was delivered can still be acknowledged."""
        self._cancelled = True
        while self._consumers:
            _, consumer = self._consumers.popitem()
            consumer.cancel()

    close = cancel
