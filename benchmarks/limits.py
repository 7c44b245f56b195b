"""What the parts can do by themselves: the bounds that no gateway on them can pass."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult

import aio_pika
import psycopg

from benchmarks.adapters.peer import wait_serving
from benchmarks.systems import clean_environment, log_file, loopback
from taskyard.dev.processes import free_port, spawn, stop

_STOP_WITHIN = 10.0
_QUEUE = "limit"
_IN_FLIGHT = 256
_BODY = b"[[], {}, {}]"  # as a wake-up
_TABLE = "CREATE TABLE IF NOT EXISTS bare (id bigint GENERATED ALWAYS AS IDENTITY, body jsonb)"
_INSERT = "INSERT INTO bare (body) SELECT value FROM jsonb_array_elements(%s::jsonb)"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyQuart:
    """Quart on the server that Taskyard uses, with as many processes: each POST is answered 202."""

    url: SplitResult
    name: str = "limit: an empty Quart POST on the same server"
    headers: dict[str, str] = field(default_factory=dict)


@contextmanager
def empty_quart(folder: Path, *, workers: int) -> Iterator[EmptyQuart]:
    """Start the server; stop it at the end."""
    url = loopback(free_port())
    log = log_file(folder, "limit-quart")
    with log.open("wb") as output:
        process = spawn(
            [sys.executable, "-m", "benchmarks.empty_quart", str(url.port), str(workers)],
            env=clean_environment(),
            output=output,
        )
    try:
        wait_serving(url, log)
        yield EmptyQuart(url=url)
    finally:
        stop(process, signal.SIGTERM, within=_STOP_WITHIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPublishing:
    """Persistent messages to a durable queue, each confirmed, 256 under way on one channel."""

    amqp_url: str
    name: str = "limit: raw confirmed publishing, one process"

    def per_second(self, seconds: float) -> float:
        """Publish for some seconds; return the messages confirmed a second."""
        return asyncio.run(self._publish(seconds))

    async def _publish(self, seconds: float) -> float:
        async with await aio_pika.connect(self.amqp_url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            queue = await channel.declare_queue(_QUEUE, durable=True)
            count, began = 0, time.perf_counter()
            deadline = began + seconds

            async def publisher() -> None:
                nonlocal count
                while time.perf_counter() < deadline:
                    message = aio_pika.Message(
                        _BODY, delivery_mode=aio_pika.DeliveryMode.PERSISTENT
                    )
                    await channel.default_exchange.publish(message, _QUEUE, mandatory=True)
                    count += 1

            await asyncio.gather(*(publisher() for _ in range(_IN_FLIGHT)))
            took = time.perf_counter() - began
            await queue.delete(if_unused=False, if_empty=False)
            return count / took


@dataclass(frozen=True, slots=True, kw_only=True)
class RawInsert:
    """One statement with many rows into a bare table, each in a transaction of its own."""

    database_url: str
    name: str = "limit: raw multi-row INSERT, one connection"

    def per_second(self, *, rows: int, statements: int) -> float:
        """Insert; return the rows committed a second."""
        value = json.dumps([{"type": "bench.noop", "args": {"n": 1}}] * rows)
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(_TABLE)
            began = time.perf_counter()
            for _ in range(statements):
                connection.execute(_INSERT, (value,))
            took = time.perf_counter() - began
            connection.execute("DROP TABLE bare")
        return rows * statements / took
