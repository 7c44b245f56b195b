"""Publishing wake-ups with confirms, over one connection that comes back by itself."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aio_pika
import aiormq
import structlog
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPException, DeliveryError, PublishError

from taskyard.broker import wakeup as wakeup_format
from taskyard.broker.tls import explained
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.stopping import end

log = structlog.get_logger(__name__)

_CONFIRM_TIMEOUT = 10.0
_CONNECT_TIMEOUT = 10.0
_RECONNECT_AFTER = 1.0
_READY_WITHIN = 0.05  # at once, or not for a while
_HEARTBEAT = 15
PERSISTENT = 2  # delivery mode; the default is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published."""

    body: bytes
    routing_key: str
    properties: aiormq.spec.Basic.Properties


class Publisher:
    """Publishes to one exchange. Opened by `open_publisher`; declares nothing.

    It counts what the broker `said`, in how many rounds, and the seconds that these took.
    """

    def __init__(self, url: str, exchange: str) -> None:
        self._url = url
        self._exchange = exchange
        # The channel below aio-pika's: there a publish need not wait until its own frame is
        # written, which makes many of them twice as cheap (measured).
        self._channel: aiormq.Channel | None = None
        self._silent = asyncio.Event()
        self.connected = asyncio.Event()
        self.said: Counter[Confirm] = Counter()
        self.rounds, self.seconds = 0, 0.0

    async def publish(self, wakeups: Sequence[WakeUp]) -> list[Confirm]:
        """Publish all, pipelined; return in order what the broker said to each."""
        return await self.send([_sealed(wakeup) for wakeup in wakeups])

    async def send(self, messages: Sequence[Message]) -> list[Confirm]:
        """Publish any messages likewise."""
        channel = self._channel
        if not messages or channel is None:
            return [Confirm.UNANSWERED] * len(messages)
        began = time.monotonic()
        publishing = [
            asyncio.create_task(_publish_one(channel, self._exchange, message))
            for message in messages
        ]
        # One limit for all: one for each would double the tasks that asyncio has to juggle.
        _, late = await asyncio.wait(publishing, timeout=_CONFIRM_TIMEOUT)
        for each in late:
            each.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        if len(late) == len(publishing):
            self._silent.set()
        said = [Confirm.UNANSWERED if each.cancelled() else each.result() for each in publishing]
        self.said.update(said)
        self.rounds, self.seconds = self.rounds + 1, self.seconds + time.monotonic() - began
        return said

    async def is_blocked(self) -> bool:
        """Return whether the broker lets nobody publish: it has too little memory or disk."""
        if (channel := self._channel) is None:
            return False
        try:
            async with asyncio.timeout(_READY_WITHIN):
                await channel.connection.ready()
        except TimeoutError:
            return True
        return False

    async def keep_connected(self) -> None:
        """Connect, and connect again whenever connection or channel are lost. Never returns."""
        while True:
            try:
                await self._stay_connected()
            except (*CONNECTION_EXCEPTIONS, AMQPException, TimeoutError) as error:
                log.warning("broker connection lost", error=explained(error))
            finally:
                self._channel = None
                self.connected.clear()
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
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            connection.close_callbacks.add(on_close)
            channel.close_callbacks.add(on_close)
            underlay = await channel.get_underlay_channel()
            assert isinstance(underlay, aiormq.Channel)
            self._channel = underlay
            self._silent.clear()
            self.connected.set()
            log.info("broker connected")
            listening = asyncio.create_task(self._until_deaf(underlay))
            try:
                either: list[asyncio.Future[Any]] = [lost, listening]
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await end(listening)
            silence = TimeoutError(f"no confirm within {_CONFIRM_TIMEOUT:g} s")
            raise lost.result() if lost.done() else silence

    async def _until_deaf(self, channel: aiormq.Channel) -> None:
        """Return when confirms have stopped coming though the broker lets us publish.

        While it has too little memory or disk it blocks whoever publishes, and a new connection
        would be blocked too.
        """
        while True:
            await self._silent.wait()
            self._silent.clear()
            try:
                async with asyncio.timeout(1.0):
                    await channel.connection.ready()
            except TimeoutError:
                log.warning("the broker blocks publishers: a memory or disk alarm")
            else:
                return


def _sealed(wakeup: WakeUp) -> Message:
    sealed = wakeup_format.envelope(wakeup)
    properties = aiormq.spec.Basic.Properties(
        headers=dict(sealed.headers),
        content_type=wakeup_format.CONTENT_TYPE,
        content_encoding=wakeup_format.CONTENT_ENCODING,
        correlation_id=sealed.correlation_id,
        priority=sealed.priority,
        delivery_mode=PERSISTENT,
    )
    return Message(body=wakeup_format.BODY, routing_key=sealed.routing_key, properties=properties)


async def _publish_one(channel: aiormq.Channel, exchange: str, message: Message) -> Confirm:
    try:
        await channel.basic_publish(
            message.body,
            exchange=exchange,
            routing_key=message.routing_key,
            properties=message.properties,
            mandatory=True,
            wait=False,
        )
    except PublishError:
        return Confirm.UNROUTABLE
    except DeliveryError:
        return Confirm.NACKED
    except (*CONNECTION_EXCEPTIONS, AMQPException):
        return Confirm.UNANSWERED
    return Confirm.CONFIRMED


@asynccontextmanager
async def open_publisher(url: str, exchange: str) -> AsyncIterator[Publisher]:
    """Open a publisher. It opens without the broker, and connects when there is one."""
    publisher = Publisher(url, exchange)
    keeper = asyncio.create_task(publisher.keep_connected(), name="publisher")
    try:
        yield publisher
    finally:
        await end(keeper)
