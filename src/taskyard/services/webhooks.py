"""Webhooks: endpoints that hear of changes, and their secrets."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta
from uuid_utils.compat import uuid7

from taskyard.core import units
from taskyard.core.audit import Action
from taskyard.core.errors import (
    Fault,
    InvalidRequest,
    WebhookNotFound,
)
from taskyard.core.principal import TenantId
from taskyard.core.webhooks import MOST_PATTERNS, pattern_problem
from taskyard.services import audit
from taskyard.services.field_types import Duration, TopicPattern, Url
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage import webhooks
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.webhooks import (
    NewWebhook,
    Webhook,
    WebhookChange,
    WebhookId,
    secret_place,
)

LONGEST_OVERLAP = timedelta(days=30)

Events = Annotated[list[TopicPattern], Meta(min_length=1, max_length=MOST_PATTERNS)]
Description = Annotated[str, Meta(max_length=500)]


class WebhookRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/webhooks: `events` are topic patterns over `task.<type>.<state>`."""

    url: Url
    events: Events
    description: Description = ""


class WebhookChangeRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of PATCH /v1/webhooks/{webhook}: what is left out stays as it is."""

    url: Url | None = None
    events: Events | None = None
    description: Description | None = None
    disabled: bool | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /v1/webhooks/{webhook}/rotate: how long the former secret signs as well."""

    overlap: Duration = "1d"


async def create(
    pool: OwnPool, wish: WebhookRequest, *, policy: WebhookPolicy, secret: str
) -> Webhook:
    """Store an endpoint. Raises InvalidRequest."""
    _check(wish.url, wish.events, wish.description, policy)
    webhook_id = WebhookId(uuid7())
    new = NewWebhook(
        id=webhook_id,
        url=wish.url,
        events=wish.events,
        description=wish.description,
        secret=_sealed(secret, webhook_id, pool.owner.tenant, policy),
    )
    async with borrowed(pool) as connection:
        made = await webhooks.insert(connection, new)
        detail = {"events": wish.events}
        await audit.record(connection, Action.WEBHOOK_MADE, f"webhook:{made.id}", detail)
        return made


async def change(
    pool: OwnPool, webhook_id: WebhookId, wish: WebhookChangeRequest, *, policy: WebhookPolicy
) -> Webhook:
    """Change an endpoint. Raises InvalidRequest and WebhookNotFound."""
    _check(wish.url, wish.events, wish.description, policy)
    given = [name for name in wish.__struct_fields__ if getattr(wish, name) is not None]
    changes = WebhookChange(
        url=wish.url, events=wish.events, description=wish.description, disabled=wish.disabled
    )
    async with borrowed(pool) as connection:
        changed = _found(await webhooks.change(connection, webhook_id, changes), webhook_id)
        # A URL may be a secret: that it changed is enough.
        shown = {name: getattr(wish, name) for name in given if name in ("events", "disabled")}
        detail = {"changed": given, **shown}
        await audit.record(connection, Action.WEBHOOK_CHANGED, f"webhook:{webhook_id}", detail)
        return changed


async def rotate(
    pool: OwnPool, webhook_id: WebhookId, wish: RotateRequest, *, policy: WebhookPolicy, secret: str
) -> Webhook:
    """Give an endpoint another secret. Raises InvalidRequest and WebhookNotFound."""
    try:
        overlap = units.duration(wish.overlap, zero=True)
        if overlap > LONGEST_OVERLAP:
            raise ValueError(f"is longer than {LONGEST_OVERLAP.days}d")
    except ValueError as error:
        raise _invalid(Fault("/overlap", str(error))) from None
    sealed = _sealed(secret, webhook_id, pool.owner.tenant, policy)
    async with borrowed(pool) as connection:
        rotated = await webhooks.rotate(connection, webhook_id, secret=sealed, overlap=overlap)
        await audit.record(connection, Action.WEBHOOK_ROTATED, f"webhook:{webhook_id}")
        return _found(rotated, webhook_id)


def _sealed(secret: str, webhook_id: WebhookId, tenant: TenantId, policy: WebhookPolicy) -> bytes:
    return policy.ring.seal_text(secret, secret_place(tenant, webhook_id)).encode()


async def get(pool: OwnPool, webhook_id: WebhookId) -> Webhook:
    """Return an endpoint. Raises WebhookNotFound."""
    async with borrowed(pool) as connection:
        return _found(await webhooks.get(connection, webhook_id), webhook_id)


async def delete(pool: OwnPool, webhook_id: WebhookId) -> None:
    """Remove an endpoint. Raises WebhookNotFound."""
    async with borrowed(pool) as connection:
        if not await webhooks.delete(connection, webhook_id):
            raise _no_webhook(webhook_id)
        await audit.record(connection, Action.WEBHOOK_REMOVED, f"webhook:{webhook_id}")


def _check(
    url: str | None, events: list[str] | None, description: str | None, policy: WebhookPolicy
) -> None:
    faults = []
    if url is not None and (problem := policy.url_problem(url)):
        faults.append(Fault("/url", problem))
    for index, pattern in enumerate(events or ()):
        if problem := pattern_problem(pattern):
            faults.append(Fault(f"/events/{index}", f"{pattern[:80]!r} {problem}"))
    if "\0" in (description or ""):
        faults.append(Fault("/description", "holds a NUL character"))
    if faults:
        raise _invalid(*faults)


def _invalid(*faults: Fault) -> InvalidRequest:
    return InvalidRequest("the request has invalid fields", faults=faults)


def _found(webhook: Webhook | None, webhook_id: UUID) -> Webhook:
    if webhook is None:
        raise _no_webhook(webhook_id)
    return webhook


def _no_webhook(webhook_id: UUID) -> WebhookNotFound:
    return WebhookNotFound(f"there is no webhook {webhook_id}")
