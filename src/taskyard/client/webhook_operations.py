"""The operations on webhooks as calls."""

from collections.abc import Iterable
from dataclasses import replace as replace_request
from types import NoneType
from typing import TypedDict

from taskyard.client.exchange import Call, Request
from taskyard.client.operations import body_of, given
from taskyard.client.requests import post, query, segment
from taskyard.client.webhook_documents import (
    Delivery,
    DeliveryPage,
    Webhook,
    WebhookList,
    WebhookWithSecret,
)


class WebhookChange(TypedDict, total=False):
    """What becomes different about a webhook; what is left out or None stays as it is."""

    url: str | None
    events: Iterable[str] | None
    description: str | None
    disabled: bool | None


def find_all() -> Call[WebhookList]:
    """Return all webhooks."""
    return Call(Request(method="GET", path="/v1/webhooks"), WebhookList)


def get(webhook_id: str) -> Call[Webhook]:
    """Return a webhook."""
    return Call(Request(method="GET", path=_path(webhook_id)), Webhook)


def add(url: str, events: Iterable[str], description: str) -> Call[WebhookWithSecret]:
    """Subscribe an endpoint. Sent twice there would be two, so it is not sent again in doubt."""
    body = {"url": url, "events": list(events), "description": description}
    return Call(post("/v1/webhooks", body_of(body)), WebhookWithSecret)


def change(webhook_id: str, changes: WebhookChange) -> Call[Webhook]:
    """Change a webhook; twice is as once."""
    wanted = given(changes)
    if "events" in wanted:
        wanted["events"] = list(wanted["events"])
    request = post(_path(webhook_id), body_of(wanted))
    return Call(replace_request(request, method="PATCH", safe=True), Webhook)


def remove(webhook_id: str) -> Call[None]:
    """Remove a webhook. A second removal may say `webhook-not-found` of the first one's success."""
    return Call(Request(method="DELETE", path=_path(webhook_id), safe=False), NoneType)


def rotate(webhook_id: str, overlap: str | None) -> Call[WebhookWithSecret]:
    """Give a webhook another secret."""
    body = body_of(given({"overlap": overlap}))
    return Call(post(f"{_path(webhook_id)}/rotate", body), WebhookWithSecret)


def deliveries(
    webhook_id: str, state: str | None, *, limit: int | None, cursor: str | None
) -> Call[DeliveryPage]:
    """Return one page of what was sent to a webhook."""
    params = query({"state": state, "limit": limit, "cursor": cursor})
    path = f"{_path(webhook_id)}/deliveries"
    return Call(Request(method="GET", path=path, params=params), DeliveryPage)


def delivery(webhook_id: str, delivery_id: str) -> Call[Delivery]:
    """Return a delivery."""
    path = f"{_path(webhook_id)}/deliveries/{segment(delivery_id)}"
    return Call(Request(method="GET", path=path), Delivery)


def test(webhook_id: str) -> Call[Delivery]:
    """Send a test; twice does no harm."""
    return Call(replace_request(post(f"{_path(webhook_id)}/test"), safe=True), Delivery)


def replay(webhook_id: str, delivery_id: str) -> Call[Delivery]:
    """Send a delivery once more."""
    path = f"{_path(webhook_id)}/deliveries/{segment(delivery_id)}/replay"
    return Call(post(path), Delivery)


def _path(webhook_id: str) -> str:
    return f"/v1/webhooks/{segment(webhook_id)}"
