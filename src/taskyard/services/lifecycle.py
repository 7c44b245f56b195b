"""Lifecycle: publish every change of every task to whoever binds a queue, at least once."""

from collections.abc import Sequence

import msgspec

from taskyard.broker.cloudevents import CloudEvent, message_of
from taskyard.broker.publisher import Confirm, Message, Publisher
from taskyard.core import topics
from taskyard.services.news import endings_among, event_name, news_of
from taskyard.services.relay import Turn
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection, borrowed
from taskyard.storage.relay import Ending, Purpose


class LifecycleOutlet:
    """Publishes the changes that match one of some topic patterns, as CloudEvents."""

    purpose = Purpose.LIFECYCLE

    def __init__(self, publisher: Publisher, *, source: str, patterns: Sequence[str]) -> None:
        self._publisher = publisher
        self._source = source
        self._patterns = tuple(patterns)

    async def wants(self, connection: AsyncConnection) -> bool:
        """Who is bound cannot be known, so all is published, or nothing if that is the setting."""
        return bool(self._patterns)

    async def pass_on(self, found: Sequence[Change], turn: Turn) -> bool:
        """Publish, and move the cursor once the broker has confirmed everything."""
        await self._publisher.connected.wait()
        told = [change for change in found if self._is_told(change)]
        async with borrowed(turn.pool) as connection:
            endings = await endings_among(connection, told)
        said = await self._publisher.send([self._message(change, endings) for change in told])
        # Unroutable would be as good: it means that nobody listens.
        if not set(said) <= {Confirm.CONFIRMED, Confirm.UNROUTABLE}:
            turn.doubt()
            return False
        async with borrowed(turn.pool) as connection:
            return await turn.move(connection, found[-1].position)

    def _is_told(self, change: Change) -> bool:
        name = event_name(change)
        return any(topics.matches(pattern, name) for pattern in self._patterns)

    def _message(self, change: Change, endings: dict[int, Ending]) -> Message:
        event = CloudEvent(
            id=f"{change.task_id}/{change.seq}",
            source=self._source,
            type=event_name(change),
            subject=str(change.task_id),
            time=change.at,
            data=msgspec.json.encode(news_of(change, endings.get(change.position))),
        )
        return message_of(event)
