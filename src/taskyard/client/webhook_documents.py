"""What the server says of webhooks."""

from datetime import datetime

import msgspec


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint; until `former_secret_until` the former secret signs as well."""

    id: str
    url: str
    events: tuple[str, ...]
    description: str
    created_at: datetime
    disabled: bool
    disabled_at: datetime | None
    disabled_because: str | None
    former_secret_until: datetime | None
    links: dict[str, str]


class WebhookWithSecret(Webhook, frozen=True, kw_only=True):
    """An endpoint with its new secret, which is shown only now."""

    secret: str


class WebhookList(msgspec.Struct, frozen=True, kw_only=True):
    """All endpoints, the oldest first."""

    items: tuple[Webhook, ...]


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One change on its way to an endpoint, and what the latest attempt came to.

    A test tells of no change: it has no `task`, and the event `webhook.test`.
    `id` is its `webhook-id`. `attempts` counts from the latest replay on; `response_body` is the
    first KiB; `fault` says why the latest attempt was none.
    """

    id: str
    event: str
    task: str | None
    seq: int
    state: str
    attempts: int
    created_at: datetime
    next_try_at: datetime | None
    tried_at: datetime | None
    finished_at: datetime | None
    response_status: int | None
    response_body: str | None
    fault: str | None
    links: dict[str, str]


class DeliveryPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of deliveries, newest first; `next_cursor` is None on the last."""

    items: tuple[Delivery, ...]
    next_cursor: str | None
