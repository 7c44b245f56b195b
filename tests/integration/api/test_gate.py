"""What a full backlog refuses is refused in front, and all else goes on to the application."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from quart.typing import TestClientProtocol as HttpClient
from werkzeug.datastructures import Headers

from taskyard.api.gate import first_of
from taskyard.core.limits import Rate
from taskyard.core.principal import Principal, Scope, TenantId
from taskyard.core.quotas import Quota
from taskyard.services.intake import open_intake
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection
from tests.application import TABLE, client_of, open_parts
from tests.submissions import count, new

TASK = {"type": "a.b"}
_FULL = 20


@dataclass
class Full:
    """An API whose backlog is full of the tasks of `default`, and who asks it."""

    client: HttpClient
    asked: list[str]

    async def post(self, json: Any, **headers: str) -> tuple[int, str, Headers]:
        """Submit; return the status, the code, and the header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = msgspec.json.encode(json)
        named |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        answer = await self.client.post("/v1/tasks", data=body, headers=named)
        return answer.status_code, (await answer.get_json()).get("code", ""), answer.headers


KNOWN = {
    "noisy": Principal(tenant=TenantId("default"), name="n", scopes=frozenset({Scope.SUBMIT})),
    "quiet": Principal(tenant=TenantId("quiet"), name="q", scopes=frozenset({Scope.SUBMIT})),
    "reader": Principal(tenant=TenantId("default"), name="r", scopes=frozenset({Scope.READ})),
}


class Doorman:
    """Knows who shows what, and remembers whom the application has asked about."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def principal_of(self, token: str) -> Principal:
        self.asked.append(token)
        return KNOWN[token]


@pytest.fixture
async def full(database_url: str, connection: AsyncConnection) -> AsyncIterator[Full]:
    """Twenty wait, and no more may."""
    await tasks.insert(connection, [new(None) for _ in range(_FULL)])
    async with open_parts(database_url) as parts:
        doorman = Doorman()
        async with open_intake(parts.pool, parts.fresh, largest_backlog=_FULL) as intake:
            await intake.backlog.look()
            known = replace(parts, intake=intake, authenticator=doorman, known=KNOWN.get)
            yield Full(client_of(known), doorman.asked)


async def test_a_flood_is_refused_before_the_application_sees_it(
    full: Full, connection: AsyncConnection
) -> None:
    """Nobody is asked who that is; the answer is that of the application."""
    in_front = await full.post(TASK, Authorization="Bearer noisy")
    assert full.asked == []
    behind = await full.post(TASK, Authorization="Bearer noisy", Idempotency_Key='"k"')
    assert full.asked == ["noisy"]
    assert in_front[:2] == behind[:2] == (503, "backlog-full")
    assert int(in_front[2]["Retry-After"]) >= 1
    assert in_front[2]["Content-Type"] == behind[2]["Content-Type"]
    assert await count(connection, "SELECT count(*) FROM tasks") == _FULL


@pytest.mark.parametrize(
    ("who", "task", "status"),
    [
        ("quiet", TASK, 202),  # holds less than its share
        ("quiet", {**TASK, "priority": 4}, 202),
        ("noisy", {"type": "none.such"}, 404),
        ("noisy", {**TASK, "priority": 11}, 422),
        ("noisy", {"args": {}}, 422),
        ("noisy", [1], 422),
        ("reader", TASK, 403),
    ],
)
async def test_all_else_goes_on(full: Full, who: str, task: Any, status: int) -> None:
    """It is let in, or refused for its own reason."""
    assert (await full.post(task, Authorization=f"Bearer {who}"))[0] == status
    assert full.asked == [who]


async def test_who_is_not_known_is_asked_about_by_the_application(full: Full) -> None:
    """A stranger learns nothing of the backlog."""
    answer = await full.client.post("/v1/tasks", json=TASK, headers={"Authorization": "Basic x"})
    assert answer.status_code == 401


async def test_a_tenant_with_a_rate_is_told_where_it_stands(
    database_url: str, connection: AsyncConnection
) -> None:
    """So it is answered by the application."""
    await tasks.insert(connection, [new(None) for _ in range(_FULL)])
    table = replace(TABLE, quota=Quota(rate=Rate(count=10, period=timedelta(seconds=1))))
    async with (
        open_parts(database_url, table, known=KNOWN.get) as parts,
        open_intake(parts.pool, parts.fresh, largest_backlog=_FULL) as intake,
    ):
        await intake.backlog.look()
        full = Full(client_of(replace(parts, intake=intake)), [])
        status, code, headers = await full.post(TASK, Authorization="Bearer noisy")
    assert (status, code) == (503, "backlog-full")
    assert "RateLimit" in headers


async def test_a_body_that_is_whole_is_looked_at_and_handed_on() -> None:
    """Whatever granian says of more that may come."""
    come: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    for part in (b"{}", b""):
        come.put_nowait({"type": "http.request", "body": part, "more_body": bool(part)})
    body, receive = await first_of(come.get, length=b"2")
    assert body == b"{}"
    assert [(await receive())["body"] for _ in range(2)] == [b"{}", b""]


@pytest.mark.parametrize("late", [True, False])
async def test_a_body_that_comes_late_or_in_parts_is_not_waited_for(late: bool) -> None:
    """The application waits for it, by its own clock, and gets all of it."""
    come: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in (b"a", b"b")]
    if late:
        body, receive = await first_of(come.get, length=b"2")
        come.put_nowait(parts[0])
    else:
        come.put_nowait(parts[0])
        body, receive = await first_of(come.get, length=b"2")
    come.put_nowait(parts[1])
    assert body is None
    assert [(await receive())["body"] for _ in range(2)] == [b"a", b"b"]
