"""What clients see of webhooks and deliveries."""

from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.webhooks import TEST
from taskyard.services.webhooks import RotateRequest, WebhookChangeRequest, WebhookRequest
from taskyard.storage.deliveries import Delivery, DeliveryState
from taskyard.storage.webhooks import Webhook


class WebhookView(msgspec.Struct, kw_only=True):
    """An endpoint; `former_secret_until` is when the former secret stops to sign as well."""

    id: str
    url: str
    events: list[str]
    description: str
    created_at: datetime
    disabled: bool
    disabled_at: datetime | None
    disabled_because: str | None
    former_secret_until: datetime | None
    links: dict[str, str]


class WebhookWithSecret(WebhookView, kw_only=True):
    """An endpoint with its new secret, which is shown only now."""

    secret: str


class WebhookList(msgspec.Struct, kw_only=True):
    """All endpoints, the oldest first."""

    items: list[WebhookView]


class DeliveryView(msgspec.Struct, kw_only=True):
    """One change on its way to an endpoint, and what the latest attempt came to.

    A test tells of no change: it has no `task`, and the event `webhook.test`.
    `id` is its `webhook-id`. `attempts` counts from the latest replay on; `response_body` is the
    first KiB; `fault` says why the latest attempt was none.
    """

    id: str
    event: str
    task: str | None
    seq: int
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_try_at: datetime | None
    tried_at: datetime | None
    finished_at: datetime | None
    response_status: int | None
    response_body: str | None
    fault: str | None
    links: dict[str, str]


class DeliveryPage(msgspec.Struct, kw_only=True):
    """One page of deliveries, newest first; `next_cursor` is null on the last."""

    items: list[DeliveryView]
    next_cursor: str | None


def webhook_view(webhook: Webhook) -> WebhookView:
    """Return what the caller sees of an endpoint."""
    return WebhookView(**_members(webhook))


def with_secret(webhook: Webhook, secret: str) -> WebhookWithSecret:
    """Return the same with its secret."""
    return WebhookWithSecret(**_members(webhook), secret=secret)


def _members(webhook: Webhook) -> dict[str, Any]:
    path = f"/v1/webhooks/{webhook.id}"
    return {
        "id": str(webhook.id),
        "url": webhook.url,
        "events": webhook.events,
        "description": webhook.description,
        "created_at": webhook.created_at,
        "disabled": webhook.disabled_at is not None,
        "disabled_at": webhook.disabled_at,
        "disabled_because": webhook.disabled_because,
        "former_secret_until": webhook.former_until,
        "links": {"self": path, "deliveries": f"{path}/deliveries", "rotate": f"{path}/rotate"},
    }


def delivery_view(webhook_id: object, delivery: Delivery) -> DeliveryView:
    """Return what the caller sees of a delivery."""
    path = f"/v1/webhooks/{webhook_id}/deliveries/{delivery.id}"
    links = {"self": path, "replay": f"{path}/replay"}
    tells = delivery.event != TEST
    return DeliveryView(
        id=str(delivery.id),
        event=delivery.event,
        task=str(delivery.task_id) if tells else None,
        seq=delivery.seq,
        state=DeliveryState(delivery.state),
        attempts=delivery.attempts,
        created_at=delivery.created_at,
        next_try_at=delivery.next_try_at,
        tried_at=delivery.tried_at,
        finished_at=delivery.finished_at,
        response_status=delivery.response_status,
        response_body=delivery.response_body,
        fault=delivery.fault,
        links=links | ({"task": f"/v1/tasks/{delivery.task_id}"} if tells else {}),
    )


SCHEMAS = (
    WebhookRequest, WebhookChangeRequest, RotateRequest, WebhookView, WebhookWithSecret,
    WebhookList, DeliveryView, DeliveryPage,
)  # fmt: skip
