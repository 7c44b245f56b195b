"""Two tenants on one gateway: every operation, as the one who owns and as the other."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api.operation import Operation
from taskyard.api.operations import OPERATIONS
from taskyard.core.principal import Principal, Scope, TenantId
from taskyard.core.session import ByIssuer
from taskyard.services.sessions import Sessions
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage.pool import AsyncConnection
from tests.application import Keyring, client_of, open_parts
from tests.events import event
from tests.outward import CLAIMS

URL = "https://example.com/hooks"
SECRET = "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u"
EVENTS = "application/cloudevents+json"
DAY = {"after": "2020-01-01T00:00:00Z", "before": "2100-01-01T00:00:00Z"}

# What needs a body to say anything; the ids of others are in the path.
BODIES: dict[tuple[str, str], Any] = {
    ("patch", "/v1/webhooks/{webhook}"): {"description": "mine now"},
    ("post", "/v1/webhooks"): {"url": URL, "events": ["task.#"]},
    ("post", "/v1/tasks"): {"type": "a.b"},
    ("post", "/v1/tasks/batch"): {"tasks": [{"type": "a.b"}]},
    ("post", "/v1/tasks/cancel"): {"all": True},
    ("post", "/v1/tasks/replay"): {"all": True},
    ("post", "/v1/tasks/reprioritise"): {"all": True, "priority": 9},
    ("post", "/v1/dead-letters/replay"): {"all": True},
    ("post", "/v1/events/replay"): DAY,
    ("post", "/v1/events/parked/replay"): {"all": True},
    ("post", "/v1/routes/explain"): {"type": "a.b"},
    ("post", "/v1/tasks/{task}/reprioritise"): {"priority": 9},
}
# What shows no rows of any tenant, or makes some of the caller's own.
NOBODYS = {
    ("post", "/v1/tasks"), ("post", "/v1/tasks/batch"), ("post", "/v1/webhooks"),
    ("post", "/v1/events"), ("post", "/v1/routes/explain"), ("get", "/v1/task-types"),
    ("get", "/v1/task-types/{task_type}"), ("get", "/v1/pools"), ("get", "/v1/pools/{pool}"),
    ("get", "/v1/resources"),
    ("post", "/v1/pools/{pool}/pause"), ("post", "/v1/pools/{pool}/resume"),
    ("post", "/v1/workers/{worker}/drain"),  # the whole yard's, for its operator
    ("get", "/livez"), ("get", "/readyz"),
    ("get", "/v1/stream"), ("get", "/v1/statistics"),  # have tests of their own
    ("get", "/metrics"),  # the whole yard's, for its operator
}  # fmt: skip
OTHERS = [each for each in OPERATIONS if (each.method, each.path) not in NOBODYS]


def principal(tenant: str, *patterns: str) -> Principal:
    return Principal(
        tenant=TenantId(tenant),
        name=f"key:{tenant}",
        scopes=frozenset({Scope.ADMIN}),
        patterns=patterns or ("#",),
    )


@dataclass(frozen=True)
class Yard:
    """What tenant `one` has, by the names that paths use."""

    http: HttpClient
    has: dict[str, str]

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, media: str = "application/json"
    ) -> tuple[int, str]:
        sent = b"" if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {who}",
            "Content-Type": media,
            "Content-Length": str(len(sent)),
        }
        response = await self.http.open(path, method=method.upper(), data=sent, headers=headers)
        return response.status_code, await response.get_data(as_text=True)

    async def of(self, who: str, operation: Operation, ids: dict[str, str]) -> tuple[int, str]:
        body = BODIES.get((operation.method, operation.path))
        path = operation.path.format(**ids)
        return await self.ask(who, operation.method, path, body)


@pytest.fixture
async def yard(database_url: str, connection: AsyncConnection) -> AsyncIterator[Yard]:
    """Tenant one has a dead letter, a webhook with a delivery, events, and a session."""
    policy = WebhookPolicy(notify_secret=SECRET)
    known = {"one": principal("one"), "two": principal("two"), "cats": principal("one", "cat.*")}
    async with open_parts(database_url, authenticator=Keyring(**known), webhooks=policy) as parts:
        yard = Yard(client_of(parts), {})
        made = json.loads((await yard.ask("one", "post", "/v1/tasks", {"type": "a.b"}))[1])
        await connection.execute(CLAIMS)
        await connection.execute(_FAILS)
        hook = {"url": URL, "events": ["task.#"]}
        webhook = json.loads((await yard.ask("one", "post", "/v1/webhooks", hook))[1])
        status, test = await yard.ask("one", "post", f"/v1/webhooks/{webhook['id']}/test")
        assert status == 202, test
        status, sent = await yard.ask("one", "post", "/v1/events", event(1), EVENTS)
        assert status == 202, sent
        [(key,)] = await (await connection.execute("SELECT key FROM inbox_events")).fetchall()
        sessions = Sessions(parts.pool, issuers=("i",), clock=lambda: 0.0)
        await sessions.begin(known["one"], ByIssuer("i"), "secret")
        [(session,)] = await (await connection.execute("SELECT id FROM sessions")).fetchall()
        yard.has.update(
            task=made["id"],
            webhook=webhook["id"],
            delivery=json.loads(test)["id"],
            key=str(key),
            session=str(session),
        )
        yield yard


_FAILS = """
UPDATE tasks SET state = 'failed', finished_at = now(), lease_token = NULL, lease_expires_at = NULL,
                 error = '{"code": "KeyError", "message": "no"}'"""


@pytest.mark.parametrize("operation", OTHERS, ids=lambda each: f"{each.method} {each.path}")
async def test_another_tenants_rows_are_not_there(yard: Yard, operation: Operation) -> None:
    """Somebody else's id is answered with the same bytes as one that never was; lists are empty."""
    if "{" in operation.path:
        nobodys = {name: str(uuid4()) for name in yard.has}
        # Where a webhook is the caller's own, the delivery must still be.
        theirs = await yard.of("two", operation, yard.has)
        never = await yard.of("two", operation, nobodys)
        for name, value in nobodys.items():
            never = (never[0], never[1].replace(value, yard.has[name]))
        assert theirs == never
        assert theirs[0] == 404
        return
    status, text = await yard.of("two", operation, {})
    assert status in (200, 202)
    found = json.loads(text)
    assert not found.get("items", [])
    assert {found.get(name, 0) for name in ("count", "events", "released", "total")} == {0}


@pytest.mark.parametrize("operation", OTHERS, ids=lambda each: f"{each.method} {each.path}")
async def test_the_owner_has_them(yard: Yard, operation: Operation) -> None:
    """Else the test above could not fail."""
    status, text = await yard.of("one", operation, yard.has)
    assert status in (200, 202, 204, 409), text
    if "{" not in operation.path and operation.method == "get":
        assert json.loads(text)["items"]


async def test_one_key_of_two_tenants_is_two_keys(yard: Yard) -> None:
    """Idempotency keys, and ids of events, belong to a tenant."""
    ids = []
    for who in ("one", "two", "one"):
        response = await yard.http.post(
            "/v1/tasks",
            json={"type": "a.b"},
            headers={"Authorization": f"Bearer {who}", "Idempotency-Key": "the-same"},
        )
        assert response.status_code == 202
        ids.append((await response.get_json())["id"])
    assert ids[0] == ids[2] != ids[1]
    status, text = await yard.ask("two", "post", "/v1/events", event(1), EVENTS)
    assert status == 202
    assert not json.loads(text)["items"][0].get("duplicate", False)


async def test_a_key_of_some_task_types_sees_and_touches_those_only(yard: Yard) -> None:
    """Others are as if they were not there; to submit one is refused in words."""
    status, text = await yard.ask("cats", "post", "/v1/tasks", {"type": "a.b"})
    assert (status, json.loads(text)["code"]) == (403, "forbidden")
    status, text = await yard.ask("cats", "post", "/v1/tasks/batch", {"tasks": [{"type": "a.b"}]})
    assert json.loads(text)["items"][0]["error"]["code"] == "forbidden"
    task = yard.has["task"]
    for method, path in (
        ("get", f"/v1/tasks/{task}"), ("get", f"/v1/tasks/{task}?wait=1"),
        ("get", f"/v1/tasks/{task}/events"), ("get", f"/v1/tasks/{task}/log"),
        ("get", f"/v1/tasks/{task}/attempts"), ("post", f"/v1/tasks/{task}/cancel"),
        ("post", f"/v1/tasks/{task}/replay"),
    ):  # fmt: skip
        assert (await yard.ask("cats", method, path))[0] == 404, path
    assert not json.loads((await yard.ask("cats", "get", "/v1/tasks"))[1])["items"]
    for path in ("/v1/webhooks", "/v1/events", "/v1/events/parked"):
        assert (await yard.ask("cats", "get", path))[0] == 403


async def test_a_stream_shows_the_changes_of_its_owner_only(
    yard: Yard, connection: AsyncConnection
) -> None:
    """Others' are left out, and those of task types that its key is not for."""
    for who, owner in (("two", "two"), ("cats", "one")):
        headers = {"Accept": "text/event-stream", "Authorization": f"Bearer {who}"}
        async with yard.http.request("/v1/stream", headers=headers) as request:
            await request.send_complete()
            await request.receive()
            await yard.ask("one", "post", "/v1/tasks", {"type": "a.b"})
            _, text = await yard.ask(owner, "post", "/v1/tasks", {"type": "a.b"})
            wanted = json.loads(text)["id"]
            # No pool of this test runs cats.
            await connection.execute(
                "UPDATE tasks SET type = 'cat.nap', state = 'cancelled', finished_at = now()"
                " WHERE id = %s",
                (wanted,),
            )
            seen = ""
            async with asyncio.timeout(10):
                while '"state":"cancelled"' not in seen:
                    seen += (await request.receive()).decode()
            await request.disconnect()
        told = [json.loads(line[6:]) for line in seen.splitlines() if line.startswith("data: ")]
        assert {each["task"] for each in told if "task" in each} == {wanted}
