"""`client.events`: events sent over HTTP, the event log, what is parked, and both again."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Unpack

from taskyard.client import event_operations as operations
from taskyard.client.event_documents import (
    EventReceipt,
    EventReceiptList,
    EventReplayReport,
    LoggedEvent,
    LoggedEventPage,
    ParkedPage,
    ParkedReplayReport,
)
from taskyard.client.event_operations import EventFilters, ParkedFilters
from taskyard.client.exchange import Ask, AsyncAsk


class Events:
    """The events of one server."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def publish(self, event: Mapping[str, Any]) -> EventReceipt:
        """Send a CloudEvent; it is stored, with the tasks that rules make of it, when this returns.

        `type`, `source` and `data` are enough: a missing id is a random one. While no answer comes
        it is sent again, and taken in once.
        """
        return self._ask(operations.publish(event)).items[0]

    def publish_many(self, events: Iterable[Mapping[str, Any]]) -> EventReceiptList:
        """Send any number of CloudEvents, 1,000 in a request; each has its receipt, in order.

        A request with an event that is none is refused whole; those before it are stored.
        """
        calls = operations.publish_many(events)
        return operations.joined([self._ask(call) for call in calls])

    def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[EventFilters],
    ) -> LoggedEventPage:
        """Return one page of the event log, newest first."""
        return self._ask(operations.page(filters, limit=limit, cursor=cursor))

    def get(self, key: str) -> LoggedEvent:
        """Return one event of the log by its key."""
        return self._ask(operations.get(key))

    def replay(
        self,
        after: datetime | str,
        before: datetime | str,
        *,
        match: str = "#",
        dry_run: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EventReplayReport:
        """Fire the rules of today again for what arrived from `after` to below `before`."""
        return self._ask(
            operations.replay(
                after, before, match=match, dry_run=dry_run, limit=limit, cursor=cursor
            )
        )

    def parked(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[ParkedFilters],
    ) -> ParkedPage:
        """Return one page of what arrived and could not be used, newest first."""
        return self._ask(operations.parked(filters, limit=limit, cursor=cursor))

    def replay_parked(
        self,
        *,
        everything: bool = False,
        dry_run: bool = False,
        limit: int | None = None,
        **which: Unpack[ParkedFilters],
    ) -> ParkedReplayReport:
        """Look again at the parked events that fit, with the rules of today."""
        return self._ask(
            operations.replay_parked(which, everything=everything, dry_run=dry_run, limit=limit)
        )

    def replay_one_parked(self, key: str) -> ParkedReplayReport:
        """Look again at one parked event."""
        return self._ask(operations.replay_one_parked(key))


class AsyncEvents:
    """The same for asyncio."""

    def __init__(self, ask: AsyncAsk) -> None:
        self._ask = ask

    async def publish(self, event: Mapping[str, Any]) -> EventReceipt:
        """Send a CloudEvent; it is stored, with the tasks that rules make of it, when this returns.

        `type`, `source` and `data` are enough: a missing id is a random one. While no answer comes
        it is sent again, and taken in once.
        """
        return (await self._ask(operations.publish(event))).items[0]

    async def publish_many(self, events: Iterable[Mapping[str, Any]]) -> EventReceiptList:
        """Send any number of CloudEvents, 1,000 in a request; each has its receipt, in order.

        A request with an event that is none is refused whole; those before it are stored.
        """
        calls = operations.publish_many(events)
        return operations.joined([await self._ask(call) for call in calls])

    async def page(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[EventFilters],
    ) -> LoggedEventPage:
        """Return one page of the event log, newest first."""
        return await self._ask(operations.page(filters, limit=limit, cursor=cursor))

    async def get(self, key: str) -> LoggedEvent:
        """Return one event of the log by its key."""
        return await self._ask(operations.get(key))

    async def replay(
        self,
        after: datetime | str,
        before: datetime | str,
        *,
        match: str = "#",
        dry_run: bool = False,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> EventReplayReport:
        """Fire the rules of today again for what arrived from `after` to below `before`."""
        return await self._ask(
            operations.replay(
                after, before, match=match, dry_run=dry_run, limit=limit, cursor=cursor
            )
        )

    async def parked(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        **filters: Unpack[ParkedFilters],
    ) -> ParkedPage:
        """Return one page of what arrived and could not be used, newest first."""
        return await self._ask(operations.parked(filters, limit=limit, cursor=cursor))

    async def replay_parked(
        self,
        *,
        everything: bool = False,
        dry_run: bool = False,
        limit: int | None = None,
        **which: Unpack[ParkedFilters],
    ) -> ParkedReplayReport:
        """Look again at the parked events that fit, with the rules of today."""
        return await self._ask(
            operations.replay_parked(which, everything=everything, dry_run=dry_run, limit=limit)
        )

    async def replay_one_parked(self, key: str) -> ParkedReplayReport:
        """Look again at one parked event."""
        return await self._ask(operations.replay_one_parked(key))
