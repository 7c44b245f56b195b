"""Lifecycle: publish every change of every task to whoever binds a queue, at least once."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from taskyard.broker.cloudevents import CloudEvent, message_of
from taskyard.broker.publisher import Message, Publisher
from taskyard.core import topics
from taskyard.core.wakeup import Confirm
from taskyard.services.news import endings_among, event_name, news_of
from taskyard.services.relay import Turn
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection, borrowed
from taskyard.storage.relay import Ending, Purpose


class LifecycleOutlet:
    """Publishes the changes that match one of some topic patterns, as CloudEvents.

    AMQP does not tell whether anybody is bound, but returns what nobody is bound to. So of what
    nobody heard last time only the first of a kind is published, and the others only if that one
    was routed: they happened before, so whoever binds later does not miss them.

    A broker keeps what it is given in plain files: `discreet` leaves results and messages out.
    """

    purpose = Purpose.LIFECYCLE

    def __init__(
        self,
        publisher: Publisher,
        *,
        source: str,
        patterns: Sequence[str],
        discreet: bool = False,
    ) -> None:
        self._publisher = publisher
        self._discreet = discreet
        self._source = source
        self._patterns = tuple(patterns)
        self._heard: set[str] = set()  # the names that somebody was bound to, the last time

    async def wants(self, connection: AsyncConnection) -> bool:
        """Who is bound cannot be known, so all is read, or nothing if that is the setting."""
        return bool(self._patterns)

    async def pass_on(self, found: Sequence[Change], turn: Turn) -> bool:
        """Publish, and move the cursor once the broker has answered everything."""
        await self._publisher.connected.wait()
        told = self._told(found)
        first = {name: change for name, change in reversed(told) if name not in self._heard}
        asked = [(name, change) for name, change in told if change is first.get(name)]
        if not await self._publish(asked, turn):
            return False
        rest = [(name, change) for name, change in told if change is not first.get(name)]
        if not await self._publish([each for each in rest if each[0] in self._heard], turn):
            return False
        async with borrowed(turn.pool) as connection:
            return await turn.move(connection, found[-1].position)

    def _told(self, found: Sequence[Change]) -> list[tuple[str, Change]]:
        """Return the changes that the setting names, each with its own name."""
        named = [(event_name(change), change) for change in found]
        wanted = {
            name
            for name in {name for name, _ in named}
            if any(topics.matches(pattern, name) for pattern in self._patterns)
        }
        return [each for each in named if each[0] in wanted]

    async def _publish(self, told: Sequence[tuple[str, Change]], turn: Turn) -> bool:
        """Return whether the broker answered everything; learn from it who is heard."""
        if not told:
            return True
        async with borrowed(turn.pool) as connection:
            endings = await endings_among(connection, [change for _, change in told])
        said = await self._publisher.send([self._message(change, endings) for _, change in told])
        for (name, _), confirm in zip(told, said, strict=True):
            match confirm:
                case Confirm.CONFIRMED:
                    self._heard.add(name)
                case Confirm.UNROUTABLE:
                    self._heard.discard(name)
                case Confirm.NACKED | Confirm.UNANSWERED:
                    turn.doubt()
                    return False
                case _:
                    assert_never(confirm)
        return True

    def _message(self, change: Change, endings: dict[int, Ending]) -> Message:
        event = CloudEvent(
            id=f"{change.task_id}/{change.seq}",
            source=self._source,
            type=event_name(change),
            subject=str(change.task_id),
            time=change.at,
            trace=change.trace,
            data=msgspec.json.encode(
                news_of(change, endings.get(change.position), discreet=self._discreet)
            ),
        )
        return message_of(event)
