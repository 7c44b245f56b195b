"""From the queue into the inbox, many events in one transaction, and only then acknowledged."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from taskyard.broker.consumer import Bounds, Consumer, Message
from taskyard.core.errors import StorageUnavailable
from taskyard.core.events import KEPT_OF_TOO_LARGE, LARGEST_EVENT
from taskyard.services.cloudevents import Delivery, amqp_attributes
from taskyard.services.entry import Entry
from taskyard.services.event_entry import demands_of
from taskyard.services.ingest import Ingest
from taskyard.stopping import end

log = structlog.get_logger(__name__)

HELD = Bounds(messages=200, largest=LARGEST_EVENT, kept=KEPT_OF_TOO_LARGE)
_WRITERS = 2  # while one waits for the disk, the other gathers
_AT_ONCE = HELD.messages // _WRITERS
_BYTES_AT_ONCE = 4 * LARGEST_EVENT  # on their way to the database an event has several forms
_AFTER_TROUBLE = 1.0  # seconds: as often it is looked at whether there is room


async def consume(consumer: Consumer, ingest: Ingest, entry: Entry) -> None:
    """Take in what comes until cancelled. What was not stored is not acknowledged."""
    writers = [asyncio.create_task(_write(consumer, ingest, entry)) for _ in range(_WRITERS)]
    try:
        await asyncio.gather(*writers)
    finally:
        await end(*writers)


async def _write(consumer: Consumer, ingest: Ingest, entry: Entry) -> None:
    while True:
        left = await consumer.take(_AT_ONCE, most_bytes=_BYTES_AT_ONCE)
        waits = False
        # A lost connection gives them back to the broker, all at once.
        while left and consumer.holds(left[0]):
            stored, trouble = await _store(left, ingest, entry)
            await consumer.acknowledge(left[:stored])
            left = left[stored:]
            if left and not waits:
                log.warning("events wait", error=trouble, count=len(left))
            elif waits and not left:
                log.info("events go on")
            waits = bool(left)
            if waits:
                await asyncio.sleep(_AFTER_TROUBLE)


async def _store(messages: Sequence[Message], ingest: Ingest, entry: Entry) -> tuple[int, str]:
    """Store messages, the first ones first; return how many, and why not the others.

    After a connection that broke during the commit it is said again: what is there already is left
    as it is.
    """
    try:
        now = datetime.now(UTC)
        looked = [ingest.look(_delivery(each), now=now) for each in messages]
        admission = await entry.let_in(ingest.tenant, [demands_of(each) for each in looked])
        if admission.granted:
            await ingest.take_in(looked[: admission.granted])
    except StorageUnavailable as error:
        return 0, error.detail
    except Exception as error:
        # A fault of ours: the messages stay with the broker, where they are counted.
        log.exception("events could not be taken in", count=len(messages))
        return 0, type(error).__name__
    return admission.granted, admission.refusal.detail if admission.refusal else ""


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
