"""The page Webhooks: endpoints, what was sent to them, what they answered; no secret is shown."""

from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID

from quart import Blueprint, Response, request

from taskyard.core.principal import Scope
from taskyard.core.webhooks import TEST
from taskyard.services import webhook_deliveries
from taskyard.services import webhooks as service
from taskyard.services.webhooks import WebhookChangeRequest
from taskyard.storage import deliveries as deliveries_table
from taskyard.storage import webhooks as webhooks_table
from taskyard.storage.deliveries import Delivery, DeliveryId, DeliveryState
from taskyard.storage.pool import borrowed
from taskyard.storage.webhooks import WebhookId
from taskyard.ui.fields import Fields, Readers, as_id, fields_of, one_of
from taskyard.ui.frame import own, page, redirect, require_whole_tenant, viewer
from taskyard.ui.yard import Yard

PAGE = 50
DONE = {
    "tested": "A test is on its way: what it came to stands first in the list.",
    "paused": "Paused: nothing more is sent until it is resumed.",
    "resumed": "Resumed: changes from now on are sent.",
    "replayed": "It is sent once more.",
}
_READERS: Readers = {
    "state": lambda text: {"state": one_of(DeliveryState)(text)},
    "older": lambda text: {"older": DeliveryId(as_id(text))},
}


def serve_webhooks(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the list, one endpoint, and what its forms do."""
    _serve_actions(blueprint, yard)

    @blueprint.get("/webhooks")
    async def list_webhooks() -> Response:
        require_whole_tenant(Scope.READ)
        async with borrowed(own(yard.pool)) as connection:
            found = await webhooks_table.list_own(connection)
        return await page("webhooks.html", found=found, shown_url=shown_url)

    @blueprint.get("/webhooks/<uuid:webhook>")
    async def webhook(webhook: UUID) -> Response:
        require_whole_tenant(Scope.READ)
        found = await service.get(own(yard.pool), WebhookId(webhook))
        asked = fields_of(request.args, _READERS)
        sent = [] if asked.faults else await _sent(yard, found.id, asked)
        may = viewer().principal.may
        return await page(
            "webhook.html", 422 if asked.faults else 200, webhook=found, shown_url=shown_url,
            asked=asked, sent=sent, test=TEST, states=list(DeliveryState),
            older=sent[-1].id if len(sent) == PAGE else None,
            may_change=may(Scope.ADMIN), may_replay=may(Scope.REPLAY),
            done=DONE.get(request.args.get("done", "")),
        )  # fmt: skip


def _serve_actions(blueprint: Blueprint, yard: Yard) -> None:
    @blueprint.post("/webhooks/<uuid:webhook>/test")
    async def test_webhook(webhook: UUID) -> Response:
        require_whole_tenant(Scope.ADMIN)
        await webhook_deliveries.test(own(yard.pool), WebhookId(webhook), now=datetime.now(UTC))
        return _to(webhook, "tested")

    @blueprint.post("/webhooks/<uuid:webhook>/pause")
    async def pause_webhook(webhook: UUID) -> Response:
        return await _disable(yard, webhook, True)

    @blueprint.post("/webhooks/<uuid:webhook>/resume")
    async def resume_webhook(webhook: UUID) -> Response:
        return await _disable(yard, webhook, False)

    @blueprint.post("/webhooks/<uuid:webhook>/deliveries/<uuid:delivery>/replay")
    async def replay_delivery(webhook: UUID, delivery: UUID) -> Response:
        require_whole_tenant(Scope.REPLAY)
        await webhook_deliveries.replay(own(yard.pool), WebhookId(webhook), DeliveryId(delivery))
        return _to(webhook, "replayed")


async def _disable(yard: Yard, webhook: UUID, disabled: bool) -> Response:
    require_whole_tenant(Scope.ADMIN)
    wish = WebhookChangeRequest(disabled=disabled)
    await service.change(own(yard.pool), WebhookId(webhook), wish, policy=yard.webhooks)
    return _to(webhook, "paused" if disabled else "resumed")


async def _sent(yard: Yard, webhook: WebhookId, asked: Fields) -> list[Delivery]:
    wanted = asked.wanted
    async with borrowed(own(yard.pool)) as connection:
        return await deliveries_table.page(
            connection, webhook, state=wanted.get("state"), before=wanted.get("older"), limit=PAGE
        )


def shown_url(url: str) -> str:
    """Return a URL without what may be a secret in it: its query, and who logs in.

    >>> shown_url("https://u:p@example.com:8443/hooks?token=s3cret")
    'https://example.com:8443/hooks?…'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}{'?…' if parts.query else ''}"


def _to(webhook: UUID, done: str) -> Response:
    return redirect(f"/webhooks/{webhook}?done={done}")
