"""Tell: turn changes into deliveries, in one transaction with the cursor, so that none is lost."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
import psycopg
from uuid_utils.compat import uuid7

from taskyard.core import topics
from taskyard.services.news import endings_among, event_name, news_of
from taskyard.services.relay import Turn
from taskyard.services.webhook_policy import origin
from taskyard.storage import deliveries, relay, webhooks
from taskyard.storage.changes import Change
from taskyard.storage.deliveries import DeliveryId, NewDelivery
from taskyard.storage.pool import AsyncConnection, borrowed
from taskyard.storage.relay import Ending, Purpose
from taskyard.storage.webhooks import Webhook


class WebhookOutlet:
    """Makes a delivery for each change and each endpoint that wants it, and for each notify_url."""

    purpose = Purpose.WEBHOOKS

    def __init__(self, *, on_deliveries: Callable[[], None]) -> None:
        self._on_deliveries = on_deliveries

    async def wants(self, connection: AsyncConnection) -> bool:
        """Whether there is an endpoint, or a task with a notify_url."""
        return await relay.anybody_told(connection)

    async def pass_on(self, found: Sequence[Change], turn: Turn) -> bool:
        """Store deliveries and move the cursor in one transaction."""
        async with borrowed(turn.pool) as connection:
            endings = await endings_among(connection, found)
            hooks = await webhooks.enabled(connection)
            new = [each for change in found for each in _deliveries(change, hooks, endings)]
            moved = False
            async with connection.transaction():
                await deliveries.insert(connection, new)
                moved = await turn.move(connection, found[-1].position)
                if not moved:
                    raise psycopg.Rollback
        if moved and new:
            self._on_deliveries()
        return moved


def _deliveries(
    change: Change, hooks: Sequence[Webhook], endings: dict[int, Ending]
) -> Iterator[NewDelivery]:
    name, ending = event_name(change), endings.get(change.position)
    wanting = [hook for hook in hooks if _wants(hook, change, name)]
    notify_url = ending.notify_url if ending else None
    if not wanting and notify_url is None:
        return
    body = _body(change, ending)
    for hook in wanting:
        yield _delivery(change, name, body, hook=hook)
    if notify_url is not None:
        yield _delivery(change, name, body, url=notify_url)


def _wants(hook: Webhook, change: Change, name: str) -> bool:
    """Whether a change is one of an endpoint's, and not of the time before it was enabled."""
    if change.tenant != hook.tenant:
        return False
    return change.at >= hook.enabled_at and any(topics.matches(p, name) for p in hook.events)


def _delivery(
    change: Change, name: str, body: str, *, hook: Webhook | None = None, url: str | None = None
) -> NewDelivery:
    return NewDelivery(
        id=DeliveryId(uuid7()),
        tenant=change.tenant,
        webhook_id=hook.id if hook else None,
        url=url,
        endpoint=str(hook.id) if hook else origin(url or ""),
        task_id=change.task_id,
        seq=change.seq,
        event=name,
        body=body,
    )


def _body(change: Change, ending: Ending | None) -> str:
    """The members that Standard Webhooks recommends."""
    told = {"type": event_name(change), "timestamp": change.at, "data": news_of(change, ending)}
    return msgspec.json.encode(told).decode()
