"""From the queue into the inbox, many events in one transaction, and only then acknowledged."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from taskyard.broker.consumer import Bounds, Consumer, Message
from taskyard.core.errors import BacklogFull, StorageUnavailable
from taskyard.core.events import KEPT_OF_TOO_LARGE, LARGEST_EVENT
from taskyard.services.backlog import Backlog
from taskyard.services.cloudevents import Delivery, amqp_attributes
from taskyard.services.ingest import Ingest
from taskyard.stopping import end

log = structlog.get_logger(__name__)

HELD = Bounds(messages=200, largest=LARGEST_EVENT, kept=KEPT_OF_TOO_LARGE)
_WRITERS = 2  # while one waits for the disk, the other gathers
_AT_ONCE = HELD.messages // _WRITERS
_BYTES_AT_ONCE = 4 * LARGEST_EVENT  # on their way to the database an event has several forms
_AFTER_TROUBLE = 1.0


async def consume(consumer: Consumer, ingest: Ingest, backlog: Backlog) -> None:
    """Take in what comes until cancelled. What was not stored is not acknowledged."""
    writers = [asyncio.create_task(_write(consumer, ingest, backlog)) for _ in range(_WRITERS)]
    writers.append(asyncio.create_task(backlog.watch(), name="backlog"))
    try:
        await asyncio.gather(*writers)
    finally:
        await end(*writers)


async def _write(consumer: Consumer, ingest: Ingest, backlog: Backlog) -> None:
    while True:
        messages = await consumer.take(_AT_ONCE, most_bytes=_BYTES_AT_ONCE)
        if await _stored(messages, consumer, ingest, backlog):
            await consumer.acknowledge(messages)


async def _stored(
    messages: Sequence[Message], consumer: Consumer, ingest: Ingest, backlog: Backlog
) -> bool:
    """Try until they are stored; return whether they were, or the broker has taken them back.

    After a connection that broke during the commit it is said again: what is there already is left
    as it is.
    """
    while any(map(consumer.holds, messages)):
        try:
            backlog.admit()
            now = datetime.now(UTC)
            await ingest.take_in([ingest.look(_delivery(each), now=now) for each in messages])
        except (StorageUnavailable, BacklogFull) as error:
            log.warning("events wait", error=error.detail, count=len(messages))
        except Exception:
            # A fault of ours: the messages stay with the broker, where they are counted.
            log.exception("events could not be taken in", count=len(messages))
        else:
            return True
        await asyncio.sleep(_AFTER_TROUBLE)
    return False


def _delivery(message: Message) -> Delivery:
    return Delivery(
        body=message.body,
        size=message.size,
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        attributes=amqp_attributes(message.headers),
        user_id=message.user_id,
        routing_key=message.routing_key,
    )
