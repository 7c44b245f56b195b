"""A service that says what has happened, and leaves it to the gateway what is to be done about it.

    taskyard up -- python examples/publish_events.py

It publishes a CloudEvent for each file, in binary mode, with plain aio-pika: nothing of Taskyard is
imported. Rules in routing/events.toml make tasks of events.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from mimetypes import guess_type
from pathlib import Path
from uuid import uuid4

import aio_pika
from aio_pika.exceptions import DeliveryError

SOURCE = "/examples/uploads"
FILES = Path(__file__).parent / "files"  # the store `inputs`
TIMEOUT = 10.0  # seconds; a broker that is out of memory or disk confirms nothing


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that has come."""

    name: str
    size: int

    @property
    def kind(self) -> str:
        """The media type by the name's ending."""
        return guess_type(self.name)[0] or "application/octet-stream"

    def event(self, event_id: str) -> tuple[str, aio_pika.Message]:
        """Return the routing key, which is the event's type, and the event."""
        event_type = f"upload.{self.kind.partition('/')[0]}.created"
        data = {"key": f"inputs/{self.name}", "size": self.size, "content_type": self.kind}
        # CloudEvents' AMQP binding 1.0.2: attributes are headers, data is the body.
        headers: dict[str, aio_pika.abc.FieldValue] = {
            "cloudEvents:specversion": "1.0",
            "cloudEvents:id": event_id,
            "cloudEvents:source": SOURCE,
            "cloudEvents:type": event_type,
            "cloudEvents:subject": self.name,
            "cloudEvents:time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        message = aio_pika.Message(
            json.dumps(data).encode(),
            headers=headers,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        return event_type, message


async def publish(amqp_url: str, exchange: str, uploads: Sequence[Upload]) -> None:
    """Publish an event for each upload; return once the broker has taken them all.

    Who is in doubt publishes the same event again: its id and source make it one event.
    """
    async with await aio_pika.connect(amqp_url, timeout=TIMEOUT) as connection:
        # An event that no queue takes comes back as an error, instead of being dropped.
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        target = await channel.get_exchange(exchange)
        for upload in uploads:
            event_id = str(uuid4())
            routing_key, message = upload.event(event_id)
            await target.publish(message, routing_key, mandatory=True, timeout=TIMEOUT)
            print(f"{routing_key}  {upload.name}  {event_id}")


def main(names: Sequence[str]) -> int:
    """Publish an event for each file; return the exit code."""
    amqp_url = os.environ.get("TASKYARD_AMQP_URL")
    if not amqp_url:
        print("TASKYARD_AMQP_URL is not set; see the first lines of this file", file=sys.stderr)
        return 2
    try:
        uploads = [Upload(name, (FILES / name).stat().st_size) for name in names]
        exchange = os.environ.get("TASKYARD_PREFIX", "taskyard") + ".events"
        asyncio.run(publish(amqp_url, exchange, uploads))
    except (OSError, DeliveryError, TimeoutError, aio_pika.exceptions.AMQPError) as error:
        print(f"not published: {error!r}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["coffee.png", "chelsea.png"]))
