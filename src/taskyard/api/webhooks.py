"""/v1/webhooks: endpoints, their secrets, and what was delivered to them."""

import secrets
from datetime import UTC, datetime
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.query import PAGE, Readers, as_cursor, as_limit, read_query
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body, json_body_or_none, to_cursor
from taskyard.api.webhook_views import (
    DeliveryPage,
    WebhookList,
    delivery_view,
    webhook_view,
    with_secret,
)
from taskyard.core.errors import DeliveryNotFound, WebhookNotFound
from taskyard.core.webhooks import new_secret
from taskyard.services import webhook_deliveries
from taskyard.services import webhooks as service
from taskyard.services.webhooks import RotateRequest, WebhookChangeRequest, WebhookRequest
from taskyard.storage import deliveries as deliveries_table
from taskyard.storage import webhooks as webhooks_table
from taskyard.storage.deliveries import DeliveryId, DeliveryState
from taskyard.storage.pool import borrowed
from taskyard.storage.webhooks import WebhookId

_SECRET_BYTES = 32


def _as_state(text: str) -> DeliveryState:
    if text not in set(DeliveryState):
        raise ValueError(f"is {text[:40]!r}; a state is one of {', '.join(DeliveryState)}")
    return DeliveryState(text)


_LOG: Readers = {"state": _as_state, "limit": as_limit, "cursor": as_cursor}


def webhooks_blueprint(parts: Parts) -> Blueprint:
    """Serve webhooks."""
    blueprint = Blueprint("webhooks", __name__)

    @blueprint.post("/v1/webhooks")
    async def create() -> Response:
        wish = convert(await json_body(), WebhookRequest)
        secret = new_secret(secrets.token_bytes(_SECRET_BYTES))
        made = await service.create(own(parts), wish, policy=parts.webhooks, secret=secret)
        view = with_secret(made, secret)
        return respond(view, 201, {"Location": view.links["self"]})

    @blueprint.get("/v1/webhooks")
    async def list_webhooks() -> Response:
        async with borrowed(own(parts)) as connection:
            found = await webhooks_table.list_own(connection)
        return respond(WebhookList(items=[webhook_view(each) for each in found]))

    @blueprint.get("/v1/webhooks/<webhook>")
    async def get(webhook: str) -> Response:
        return respond(webhook_view(await service.get(own(parts), _webhook_id(webhook))))

    @blueprint.patch("/v1/webhooks/<webhook>")
    async def change(webhook: str) -> Response:
        wish = convert(await json_body(), WebhookChangeRequest)
        changed = await service.change(
            own(parts), _webhook_id(webhook), wish, policy=parts.webhooks
        )
        return respond(webhook_view(changed))

    @blueprint.delete("/v1/webhooks/<webhook>")
    async def delete(webhook: str) -> Response:
        await service.delete(own(parts), _webhook_id(webhook))
        return Response(status=204)

    @blueprint.post("/v1/webhooks/<webhook>/rotate")
    async def rotate(webhook: str) -> Response:
        wish = convert(await json_body_or_none(), RotateRequest)
        secret = new_secret(secrets.token_bytes(_SECRET_BYTES))
        rotated = await service.rotate(
            own(parts), _webhook_id(webhook), wish, policy=parts.webhooks, secret=secret
        )
        return respond(with_secret(rotated, secret))

    @blueprint.get("/v1/webhooks/<webhook>/deliveries")
    async def deliveries(webhook: str) -> Response:
        given = read_query(request.args.items(multi=True), _LOG)
        limit = given.get("limit", PAGE)
        found_hook = await service.get(own(parts), _webhook_id(webhook))
        async with borrowed(own(parts)) as connection:
            found = await deliveries_table.page(
                connection, found_hook.id, state=given.get("state"),
                before=given.get("before"), limit=limit,
            )  # fmt: skip
        cursor = to_cursor(found[-1].id) if len(found) == limit else None
        items = [delivery_view(found_hook.id, each) for each in found]
        return respond(DeliveryPage(items=items, next_cursor=cursor))

    @blueprint.get("/v1/webhooks/<webhook>/deliveries/<delivery>")
    async def delivery(webhook: str, delivery: str) -> Response:
        hook = _webhook_id(webhook)
        found = await webhook_deliveries.find(own(parts), hook, _delivery_id(delivery))
        return respond(delivery_view(hook, found))

    @blueprint.post("/v1/webhooks/<webhook>/deliveries/<delivery>/replay")
    async def replay(webhook: str, delivery: str) -> Response:
        hook = _webhook_id(webhook)
        replayed = await webhook_deliveries.replay(own(parts), hook, _delivery_id(delivery))
        return respond(delivery_view(hook, replayed), 202)

    @blueprint.post("/v1/webhooks/<webhook>/test")
    async def test(webhook: str) -> Response:
        hook = _webhook_id(webhook)
        sent = await webhook_deliveries.test(own(parts), hook, now=datetime.now(UTC))
        view = delivery_view(hook, sent)
        return respond(view, 202, {"Location": view.links["self"]})

    return blueprint


def _webhook_id(text: str) -> WebhookId:
    try:
        return WebhookId(UUID(text))
    except ValueError:
        raise WebhookNotFound(f"there is no webhook {text[:64]!r}; ids are UUIDs") from None


def _delivery_id(text: str) -> DeliveryId:
    try:
        return DeliveryId(UUID(text))
    except ValueError:
        raise DeliveryNotFound(f"there is no delivery {text[:64]!r}; ids are UUIDs") from None
