"""Consuming a queue over one connection that comes back by itself. Declares nothing."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import aiormq
import structlog
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPException

from taskyard.broker.tls import explained
from taskyard.stopping import end

log = structlog.get_logger(__name__)

_CONNECT_TIMEOUT = 10.0
_RECONNECT_AFTER = 1.0
_HEARTBEAT = 15
_TURNS = 5
_LOOK_AFTER = 5.0  # seconds without a message before the broker is asked whether there are any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Message:
    """What was delivered, and how to acknowledge it; `size` is that of the whole body in bytes."""

    body: bytes
    size: int
    content_type: str | None
    content_encoding: str | None
    headers: Mapping[str, Any]
    user_id: str | None
    routing_key: str
    channel: aiormq.abc.AbstractChannel
    tag: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a consumer holds: so many messages, and of a body over `largest` bytes the first `kept`.

    A broker limits how many messages are under way, and not how large they are.
    """

    messages: int
    largest: int
    kept: int


class Consumer:
    """Holds messages of a queue, within bounds, until they are acknowledged.

    After a lost connection the broker delivers again what was not acknowledged, so what was held is
    forgotten.
    """

    def __init__(self, url: str, queue: str, *, bounds: Bounds, look_after: float) -> None:
        self._url = url
        self._queue = queue
        self._bounds = bounds
        self._look_after = look_after
        self._waiting: deque[Message] = deque()
        self._unacknowledged: deque[int] = deque()  # tags, in the order of delivery
        self._done: set[int] = set()
        self._arrived = asyncio.Event()
        self._delivered = 0
        self._channel: aiormq.abc.AbstractChannel | None = None
        self.connected = asyncio.Event()
        self.acknowledged = 0

    async def take(self, most: int, *, most_bytes: int) -> list[Message]:
        """Wait for messages; return up to so many, in the order of the queue.

        Together they are no larger than `most_bytes`, unless the first is by itself.
        """
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
            # What has been read from the socket comes one by one, some turns of the loop each: let
            # it, and take it together (18 events in a transaction become 40, measured).
            patience = _TURNS
            while patience and len(self._waiting) < most:
                before = len(self._waiting)
                await asyncio.sleep(0)
                patience = patience - 1 if len(self._waiting) == before else _TURNS
        taken = [self._waiting.popleft()]
        room = most_bytes - len(taken[0].body)
        while self._waiting and len(taken) < most and len(self._waiting[0].body) <= room:
            taken.append(self._waiting.popleft())
            room -= len(taken[-1].body)
        return taken

    @property
    def held(self) -> int:
        """How many messages the broker waits for."""
        return len(self._unacknowledged)

    def holds(self, message: Message) -> bool:
        """Return whether the broker still waits for this message to be acknowledged."""
        return message.channel is self._channel

    async def acknowledge(self, messages: Sequence[Message]) -> None:
        """Let the broker forget messages; those of a lost connection come again.

        One acknowledgement stands for all up to its tag: what is done behind a message that is
        under way still is acknowledged together with that. One for each took a fifth of the time
        of an ingest (measured).
        """
        held = [message for message in messages if self.holds(message)]
        self._done.update(message.tag for message in held)
        last = 0
        while self._unacknowledged and self._unacknowledged[0] in self._done:
            last = self._unacknowledged.popleft()
            self.acknowledged += 1
            self._done.remove(last)
        if not last:
            return
        try:
            await held[0].channel.basic_ack(last, multiple=True, wait=False)
        except (*CONNECTION_EXCEPTIONS, AMQPException) as error:
            log.warning("messages not acknowledged", error=str(error) or type(error).__name__)

    async def keep_connected(self) -> None:
        """Consume, and connect again whenever the connection is lost or deaf. Never returns."""
        while True:
            try:
                await self._stay_connected()
            except (*CONNECTION_EXCEPTIONS, AMQPException, TimeoutError) as error:
                log.warning("broker connection lost", error=explained(error))
            finally:
                self._channel = None
                self.connected.clear()
                for held in (self._waiting, self._unacknowledged, self._done):
                    held.clear()
            await asyncio.sleep(_RECONNECT_AFTER)

    async def _stay_connected(self) -> None:
        lost: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

        def on_close(_sender: object, error: BaseException | None = None) -> None:
            if not lost.done():
                lost.set_result(error or ConnectionError("closed by the broker"))

        connection = await aio_pika.connect(
            self._url, timeout=_CONNECT_TIMEOUT, heartbeat=_HEARTBEAT
        )
        async with connection:
            channel = await connection.channel(publisher_confirms=False)
            connection.close_callbacks.add(on_close)
            channel.close_callbacks.add(on_close)
            underlay = await channel.get_underlay_channel()
            await underlay.basic_qos(prefetch_count=self._bounds.messages)
            self._channel = underlay
            await underlay.basic_consume(self._queue, self._on_message)
            self.connected.set()
            log.info("consuming", queue=self._queue)
            listening = asyncio.create_task(self._until_deaf(connection))
            try:
                either: list[asyncio.Future[Any]] = [lost, listening]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(listening)
            raise lost.result() if lost.done() else ConnectionError(listening.result())

    async def _on_message(self, message: aiormq.abc.DeliveredMessage) -> None:
        properties = message.header.properties
        if message.channel is not self._channel:
            return  # of a connection that was given up
        self._delivered += 1
        size, bounds = len(message.body), self._bounds
        tag = message.delivery_tag or 0
        self._unacknowledged.append(tag)
        self._waiting.append(
            Message(
                body=message.body if size <= bounds.largest else message.body[: bounds.kept],
                size=size,
                content_type=properties.content_type,
                content_encoding=properties.content_encoding,
                headers=properties.headers or {},
                user_id=properties.user_id,
                routing_key=message.routing_key or "",
                channel=message.channel,
                tag=tag,
            )
        )
        self._arrived.set()

    async def _until_deaf(self, connection: aio_pika.abc.AbstractConnection) -> str:
        """Return why no message can come any more: two looks in a row show it.

        While all that may be held is held, nothing new comes and nothing is wrong.
        """
        before, suspicion = -1, ""
        while True:
            await asyncio.sleep(self._look_after)
            if self._delivered != before:
                before, suspicion = self._delivered, ""
                continue
            found = await self._look(connection)
            if found and found == suspicion:
                return found
            suspicion = found

    async def _look(self, connection: aio_pika.abc.AbstractConnection) -> str:
        """Return why it is strange that nothing comes, or nothing."""
        async with asyncio.timeout(2 * self._look_after):
            channel = await connection.channel()
            queue = await channel.declare_queue(self._queue, passive=True)
            await channel.close()
        result = queue.declaration_result
        if not result.consumer_count:
            return "the broker knows no consumer of the queue"
        # Whoever took all that is held may wait for room for hours.
        if result.message_count and len(self._unacknowledged) < self._bounds.messages:
            return "messages are ready, but none is delivered"
        return ""


@asynccontextmanager
async def open_consumer(
    url: str, queue: str, *, bounds: Bounds, look_after: float = _LOOK_AFTER
) -> AsyncIterator[Consumer]:
    """Open a consumer. It opens without the broker, and consumes when there is one."""
    consumer = Consumer(url, queue, bounds=bounds, look_after=look_after)
    keeper = asyncio.create_task(consumer.keep_connected(), name="consumer")
    try:
        yield consumer
    finally:
        await end(keeper)
