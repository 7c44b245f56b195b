"""`client.webhooks`: endpoints that are told of changes, their secrets, what was sent to them."""

from collections.abc import Iterable
from typing import Unpack

from taskyard.client import webhook_operations as operations
from taskyard.client.exchange import Ask, AsyncAsk
from taskyard.client.webhook_documents import (
    Delivery,
    DeliveryPage,
    Webhook,
    WebhookList,
    WebhookWithSecret,
)
from taskyard.client.webhook_operations import WebhookChange


class Webhooks:
    """The webhooks of one server."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def list(self) -> WebhookList:
        """Return all webhooks, the oldest first."""
        return self._ask(operations.find_all())

    def get(self, webhook_id: str) -> Webhook:
        """Return a webhook."""
        return self._ask(operations.get(webhook_id))

    def add(self, url: str, events: Iterable[str], *, description: str = "") -> WebhookWithSecret:
        """Subscribe an endpoint to changes of tasks; only this answer holds the secret.

        `events` are topic patterns over `task.<type>.<state>`.
        """
        return self._ask(operations.add(url, events, description))

    def change(self, webhook_id: str, **changes: Unpack[WebhookChange]) -> Webhook:
        """Change, disable or enable a webhook."""
        return self._ask(operations.change(webhook_id, changes))

    def remove(self, webhook_id: str) -> None:
        """Remove a webhook, its log, and what was on its way."""
        self._ask(operations.remove(webhook_id))

    def rotate(self, webhook_id: str, *, overlap: str | None = None) -> WebhookWithSecret:
        """Give a webhook another secret; for the `overlap` (a day) the former one signs as well."""
        return self._ask(operations.rotate(webhook_id, overlap))

    def deliveries(
        self,
        webhook_id: str,
        *,
        state: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """Return one page of what was sent to a webhook, newest first."""
        call = operations.deliveries(webhook_id, state, limit=limit, cursor=cursor)
        return self._ask(call)

    def delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Return a delivery, and what its latest attempt came to."""
        return self._ask(operations.delivery(webhook_id, delivery_id))

    def test(self, webhook_id: str) -> Delivery:
        """Send what tells of nothing, to try a webhook out."""
        return self._ask(operations.test(webhook_id))

    def replay(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery once more, with the same `webhook-id` and body."""
        return self._ask(operations.replay(webhook_id, delivery_id))


class AsyncWebhooks:
    """The same for asyncio."""

    def __init__(self, ask: AsyncAsk) -> None:
        self._ask = ask

    async def list(self) -> WebhookList:
        """Return all webhooks, the oldest first."""
        return await self._ask(operations.find_all())

    async def get(self, webhook_id: str) -> Webhook:
        """Return a webhook."""
        return await self._ask(operations.get(webhook_id))

    async def add(
        self, url: str, events: Iterable[str], *, description: str = ""
    ) -> WebhookWithSecret:
        """Subscribe an endpoint to changes of tasks; only this answer holds the secret.

        `events` are topic patterns over `task.<type>.<state>`.
        """
        return await self._ask(operations.add(url, events, description))

    async def change(self, webhook_id: str, **changes: Unpack[WebhookChange]) -> Webhook:
        """Change, disable or enable a webhook."""
        return await self._ask(operations.change(webhook_id, changes))

    async def remove(self, webhook_id: str) -> None:
        """Remove a webhook, its log, and what was on its way."""
        await self._ask(operations.remove(webhook_id))

    async def rotate(self, webhook_id: str, *, overlap: str | None = None) -> WebhookWithSecret:
        """Give a webhook another secret; for the `overlap` (a day) the former one signs as well."""
        return await self._ask(operations.rotate(webhook_id, overlap))

    async def deliveries(
        self,
        webhook_id: str,
        *,
        state: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """Return one page of what was sent to a webhook, newest first."""
        call = operations.deliveries(webhook_id, state, limit=limit, cursor=cursor)
        return await self._ask(call)

    async def delivery(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Return a delivery, and what its latest attempt came to."""
        return await self._ask(operations.delivery(webhook_id, delivery_id))

    async def test(self, webhook_id: str) -> Delivery:
        """Send what tells of nothing, to try a webhook out."""
        return await self._ask(operations.test(webhook_id))

    async def replay(self, webhook_id: str, delivery_id: str) -> Delivery:
        """Send a delivery once more, with the same `webhook-id` and body."""
        return await self._ask(operations.replay(webhook_id, delivery_id))
