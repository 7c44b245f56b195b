"""How full queues are, asked of the broker."""

from collections.abc import Iterable
from dataclasses import dataclass

import aio_pika
from aio_pika.exceptions import CONNECTION_EXCEPTIONS, AMQPException, ChannelClosed

from taskyard.core.errors import BrokerUnavailable

_TIMEOUT = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depth:
    """What a queue holds: messages ready for delivery, and its consumers."""

    ready: int
    consumers: int


async def depths(url: str, queues: Iterable[str]) -> dict[str, Depth | None]:
    """Return the depth of each queue; None for one that does not exist.

    Plain channels are used: robust ones cache what a passive declare answered. Raises
    BrokerUnavailable when the broker does not answer.
    """
    found: dict[str, Depth | None] = {}
    try:
        async with await aio_pika.connect(url, timeout=_TIMEOUT) as connection:
            for name in queues:
                try:
                    channel = await connection.channel()
                    queue = await channel.declare_queue(name, passive=True, timeout=_TIMEOUT)
                except ChannelClosed:  # 404, and the channel is gone
                    found[name] = None
                    continue
                result = queue.declaration_result
                found[name] = Depth(
                    ready=result.message_count or 0, consumers=result.consumer_count or 0
                )
                await channel.close()
    except (*CONNECTION_EXCEPTIONS, AMQPException, TimeoutError) as error:
        raise BrokerUnavailable("the message broker does not answer") from error
    return found
