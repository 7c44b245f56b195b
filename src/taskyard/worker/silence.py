"""Noticing that this worker hears nothing though there is work for it.

A connection can be up and deaf: a consumer the broker forgot, a loop that waits for what never
comes. From inside it looks like a quiet day, so somebody else is asked: Postgres whether there is
work, and the broker, over a connection of its own, whether it lies in our queue.
"""

import threading
import time
from collections.abc import Callable, Sequence

import psycopg
import structlog

from taskyard.broker.declare import connected
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import Pool
from taskyard.storage import reconciliation
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

_LOOK_EVERY = 10.0  # seconds
_LOOKS = 2  # in a row that must find the same
_WORK_WAITS = 20.0  # seconds since the broker confirmed it


class Silence:
    """Watches for the silence of one worker, in a thread that nothing else waits for."""

    def __init__(
        self,
        runtime: Runtime,
        pool: Pool,
        *,
        amqp_url: str,
        queues: Callable[[], Sequence[str]],
        on_silence: Callable[[], None],
    ) -> None:
        self._runtime = runtime
        self._pool = pool
        self._amqp_url = amqp_url
        self._queues = queues
        self._on_silence = on_silence
        self._ended = threading.Event()

    def start(self) -> None:
        """Watch from now on, once the children are forked."""
        threading.Thread(target=self._watch, name="silence", daemon=True).start()

    def end(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def _watch(self) -> None:
        seen = 0
        while not self._ended.wait(_LOOK_EVERY):
            seen = seen + 1 if self._is_quiet() and self._misses_work() else 0
            if seen >= _LOOKS:
                log.error("worker is deaf: there is work in its queue, and it hears nothing")
                self._on_silence()
                return

    def _is_quiet(self) -> bool:
        """Whether it has a free slot, and has begun nothing for a while."""
        idle = len(self._runtime.active) < self._pool.concurrency
        return idle and time.monotonic() - self._runtime.began_at > _WORK_WAITS

    def _misses_work(self) -> bool:
        pool = self._pool.name
        try:
            cursor = self._runtime.cursor()
            if not reconciliation.is_work_waiting(cursor, pool, longer_than=_WORK_WAITS):
                return False
            with connected(self._amqp_url) as broker:
                channel = broker.channel()
                found = [channel.queue_declare(name, passive=True) for name in self._queues()]
                return any(queue.message_count for queue in found)
        except (BrokerUnavailable, psycopg.OperationalError):
            return False  # then it is no wonder that nothing is heard
