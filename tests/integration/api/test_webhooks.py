"""/v1/webhooks over HTTP: the application on a real database."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api.parts import Parts
from taskyard.services.relay import Relay
from taskyard.services.tell import WebhookOutlet
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage.pool import AsyncConnection
from tests.application import client_of, open_parts
from tests.outward import cancelled, eventually

URL = "https://example.com/hooks"
SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u"

BAD_URLS = [
    "http://example.com/", "ftp://example.com/", "https://", "https:///x", "example.com",
    "https://user:word@example.com/", "https://example.com/#part", "https://example.com:0/",
    "https://example.com:99999/", "https://exa mple.com/", "https://127.0.0.1/",
    "https://2130706433/", "https://0x7f.1/", "https://127.1/", "https://[::1]/",
    "https://[::ffff:10.0.0.1]/", "https://[fe80::1%25lo]/", "https://169.254.169.254/latest",
    "https://10.8.0.1/", "https://\u00e9.example/", "https://example.com\\@10.0.0.1/",
    "https://[", "https://example.com/" + "x" * 2048,
]  # fmt: skip
BAD_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"events": []}, "/events"),
    ({"events": ["task.#", "image.*"]}, "/events/1"),
    ({"events": ["#"] * 33}, "/events"),
    ({"events": None}, "/events"),
    ({"description": "x" * 501}, "/description"),
    ({"description": "\0"}, "/description"),
    ({"secret": SECRET}, "/secret"),
]


@dataclass(frozen=True)
class Api:
    http: HttpClient
    parts: Parts

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        sent = b"" if body is None else json.dumps(body).encode()
        # As real clients do; the test client leaves the length out.
        headers = {"Content-Type": "application/json", "Content-Length": str(len(sent))}
        response = await self.http.open(path, method=method, data=sent, headers=headers)
        return response.status_code, await response.get_json()

    async def make(self, **more: Any) -> dict[str, Any]:
        """Make a webhook that must be accepted."""
        body = {"url": URL, "events": ["task.#"], **more}
        status, made = await self.call("POST", "/v1/webhooks", body)
        assert status == 201, made
        return dict(made)


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    """One API process; the broker is away and does not matter."""
    policy = WebhookPolicy(notify_secret=SECRET, networks=(ip_network("10.9.0.0/16"),))
    async with open_parts(database_url) as opened:
        parts = replace(opened, webhooks=policy)
        yield Api(client_of(parts), parts)


async def test_a_webhook_from_its_making_to_its_end(api: Api) -> None:
    """Made, listed, changed, disabled, enabled, removed; the secret is shown once."""
    made = await api.make(events=["task.*.failed", "#.cancelled"], description="on call")
    assert made["secret"].startswith("whsec_")
    path = made["links"]["self"]
    status, shown = await api.call("GET", path)
    assert (status, "secret" in shown) == (200, False)
    assert shown == {key: value for key, value in made.items() if key != "secret"}
    assert await api.call("GET", "/v1/webhooks") == (200, {"items": [shown]})

    status, disabled = await api.call("PATCH", path, {"disabled": True})
    assert (status, disabled["disabled"], disabled["disabled_because"]) == (200, True, "by request")
    status, changed = await api.call("PATCH", path, {"events": ["task.#"]})
    assert (changed["disabled"], changed["events"], changed["url"]) == (True, ["task.#"], URL)
    status, enabled = await api.call("PATCH", path, {"disabled": False, "description": "x"})
    assert (enabled["disabled_at"], enabled["disabled_because"]) == (None, None)
    assert enabled["description"] == "x"

    assert await api.call("DELETE", path) == (204, None)
    for method, where in (("GET", path), ("DELETE", path), ("POST", f"{path}/rotate")):
        status, problem = await api.call(method, where)
        assert (status, problem["code"]) == (404, "webhook-not-found")


async def test_a_rotation_gives_another_secret(api: Api) -> None:
    """And says until when the former one signs as well."""
    made = await api.make()
    status, rotated = await api.call("POST", made["links"]["rotate"])
    assert status == 200
    assert rotated["secret"] != made["secret"]
    assert rotated["former_secret_until"] > made["created_at"]
    status, problem = await api.call("POST", made["links"]["rotate"], {"overlap": "31d"})
    assert (status, problem["errors"][0]["pointer"]) == (422, "/overlap")


async def test_urls_that_lead_inside_or_nowhere_are_refused(api: Api) -> None:
    """Of a webhook as of a task, with a pointer to the field."""
    for url in BAD_URLS:
        status, problem = await api.call("POST", "/v1/webhooks", {"url": url, "events": ["#"]})
        assert (status, problem["errors"][0]["pointer"]) == (422, "/url"), url
        status, problem = await api.call("POST", "/v1/tasks", {"type": "a.b", "notify_url": url})
        assert (status, problem["errors"][0]["pointer"]) == (422, "/notify_url"), url


async def test_other_faults_point_at_their_field(api: Api) -> None:
    """Nothing is stored then."""
    for change, pointer in BAD_FIELDS:
        body = {"url": URL, "events": ["task.#"], **change}
        status, problem = await api.call("POST", "/v1/webhooks", body)
        assert (status, problem["errors"][0]["pointer"]) == (422, pointer), change
    assert await api.call("GET", "/v1/webhooks") == (200, {"items": []})


async def test_an_allowed_network_is_allowed(api: Api) -> None:
    """The setting of this deployment names it."""
    await api.make(url="https://10.9.1.2:8443/hooks")


async def test_notify_url_is_kept_with_the_task_and_shown(api: Api) -> None:
    """One by one and in batches."""
    body = {"type": "a.b", "notify_url": URL}
    assert (await api.call("POST", "/v1/tasks", body))[0] == 202
    status, batch = await api.call("POST", "/v1/tasks/batch", {"tasks": [body, {"type": "a.b"}]})
    assert (status, batch["accepted"]) == (202, 2)
    _, page = await api.call("GET", "/v1/tasks")
    assert [task["notify_url"] for task in page["items"]] == [None, URL, URL]


async def test_without_a_secret_no_task_may_notify(api: Api) -> None:
    """The sentence names the setting."""
    bare = replace(api.parts, webhooks=WebhookPolicy())
    unsigned = Api(client_of(bare), bare)
    status, problem = await unsigned.call("POST", "/v1/tasks", {"type": "a.b", "notify_url": URL})
    assert status == 422
    assert "TASKYARD_NOTIFY_SECRET" in problem["errors"][0]["detail"]


async def test_the_log_pages_and_a_delivery_can_be_replayed(
    api: Api, connection: AsyncConnection
) -> None:
    """Newest first; a filter by state; a replay of what is not there is 404."""
    made = await api.make(events=["task.*.*.cancelled"])
    await cancelled(connection, 5)
    outlet = WebhookOutlet(on_deliveries=lambda: None)
    relay = Relay(api.parts.pool, outlet, holder=uuid4())
    path = made["links"]["deliveries"]

    async def told() -> bool:
        await relay.round()
        return len((await api.call("GET", path))[1]["items"]) == 5

    async with asyncio.timeout(20):
        await eventually(told)
    _, first = await api.call("GET", f"{path}?limit=3")
    _, second = await api.call("GET", f"{path}?limit=3&cursor={first['next_cursor']}")
    ids = [each["id"] for each in first["items"] + second["items"]]
    assert (len(set(ids)), second["next_cursor"], ids) == (5, None, sorted(ids, reverse=True))
    item = first["items"][0]
    assert (item["state"], item["event"], item["seq"], item["attempts"]) == (
        "pending", "task.a.b.cancelled", 2, 0,
    )  # fmt: skip

    await connection.execute(
        "UPDATE webhook_deliveries SET state = 'failed', next_try_at = NULL, finished_at = now(),"
        " attempts = 8 WHERE id = %s",
        (item["id"],),
    )
    _, failed = await api.call("GET", f"{path}?state=failed")
    assert [each["id"] for each in failed["items"]] == [item["id"]]
    status, replayed = await api.call("POST", item["links"]["replay"])
    assert (status, replayed["state"], replayed["attempts"]) == (202, "pending", 0)
    assert (await api.call("GET", f"{path}?state=odd"))[0] == 422
    for wrong in (uuid4(), "x"):
        status, problem = await api.call("POST", f"{path}/{wrong}/replay")
        assert (status, problem["code"]) == (404, "delivery-not-found")

    await api.call("PATCH", made["links"]["self"], {"disabled": True})
    status, problem = await api.call("POST", item["links"]["replay"])
    assert (status, problem["code"]) == (409, "webhook-disabled")
