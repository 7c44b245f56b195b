"""What is sent to a webhook: looked at, sent once more, sent to try it out."""

from datetime import datetime

import msgspec
from uuid_utils.compat import uuid7

from taskyard.core.audit import Action
from taskyard.core.errors import DeliveryNotFound, WebhookDisabled
from taskyard.core.task import TaskId
from taskyard.core.webhooks import TEST
from taskyard.services import audit
from taskyard.services.webhooks import get
from taskyard.storage import deliveries
from taskyard.storage.deliveries import Delivery, DeliveryId, NewDelivery
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.webhooks import Webhook, WebhookId


async def find(pool: OwnPool, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """Return a delivery. Raises WebhookNotFound and DeliveryNotFound."""
    await get(pool, webhook_id)
    async with borrowed(pool) as connection:
        return _found(await deliveries.get(connection, webhook_id, delivery_id), delivery_id)


async def replay(pool: OwnPool, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
    """Send a delivery once more. Raises WebhookNotFound, WebhookDisabled and DeliveryNotFound."""
    await _enabled(pool, webhook_id)
    async with borrowed(pool) as connection:
        found = _found(await deliveries.replay(connection, webhook_id, delivery_id), delivery_id)
        detail = {"webhook": str(webhook_id)}
        await audit.record(connection, Action.DELIVERY_REPLAYED, f"delivery:{delivery_id}", detail)
        return found


async def test(pool: OwnPool, webhook_id: WebhookId, *, now: datetime) -> Delivery:
    """Send what tells of nothing, like any other delivery. Raises WebhookNotFound, WebhookDisabled.

    It has no task: its own id stands in the place of one.
    """
    webhook = await _enabled(pool, webhook_id)
    delivery_id = DeliveryId(uuid7())
    new = NewDelivery(
        id=delivery_id,
        tenant=webhook.tenant,
        webhook_id=webhook.id,
        url=None,
        endpoint=str(webhook.id),
        task_id=TaskId(delivery_id),
        seq=0,
        event=TEST,
        body=msgspec.json.encode({"type": TEST, "timestamp": now, "data": {}}).decode(),
    )
    async with borrowed(pool) as connection:
        await deliveries.insert(connection, [new])
        found = _found(await deliveries.get(connection, webhook_id, delivery_id), delivery_id)
        await audit.record(connection, Action.WEBHOOK_TESTED, f"webhook:{webhook_id}")
        return found


async def _enabled(pool: OwnPool, webhook_id: WebhookId) -> Webhook:
    webhook = await get(pool, webhook_id)
    if webhook.disabled_at is not None:
        raise WebhookDisabled(f"the webhook is disabled: {webhook.disabled_because}")
    return webhook


def _found(delivery: Delivery | None, delivery_id: DeliveryId) -> Delivery:
    if delivery is None:
        raise DeliveryNotFound(f"the webhook has no delivery {delivery_id}")
    return delivery
