"""429: what a tenant submits and holds stays within its limits, over several API processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.core.limits import Rate
from taskyard.core.principal import TenantId
from taskyard.core.quotas import Quota
from taskyard.core.routing import Pool, RoutingTable
from taskyard.services.quotas import Quotas, open_quotas
from taskyard.services.usage import count_usage, weigh_usage
from taskyard.storage import quotas as quotas_table
from taskyard.storage.pool import open_pool
from tests.application import client_of, open_parts

Connection = psycopg.AsyncConnection[Any]
FIVE_A_MINUTE = Quota(rate=Rate(5, timedelta(minutes=1)))
TASK = {"type": "a.b", "args": {"text": "0123456789"}}


def table(quota: Quota) -> RoutingTable:
    pools = {"p": Pool(name="p", tasks=("a.*",), modules=("m",))}
    return RoutingTable(pools=pools, defaults={}, quota=quota)


@asynccontextmanager
async def processes(
    database_url: str, quota: Quota, count: int = 1
) -> AsyncIterator[list[HttpClient]]:
    """Clients of so many API processes."""
    async with AsyncExitStack() as stack:
        yield [
            client_of(await stack.enter_async_context(open_parts(database_url, table(quota))))
            for _ in range(count)
        ]


async def submit(client: HttpClient, key: str | None = None) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/v1/tasks", json=TASK, headers=headers)


async def stored(connection: Connection) -> set[UUID]:
    return {row[0] for row in await (await connection.execute("SELECT id FROM tasks")).fetchall()}


async def test_two_processes_let_through_what_the_rate_allows(
    database_url: str, connection: Connection
) -> None:
    """And no more: of forty at once five are accepted. What was refused is nowhere."""
    async with processes(database_url, FIVE_A_MINUTE, 2) as clients:
        answers = await asyncio.gather(*(submit(clients[n % 2]) for n in range(40)))
    accepted = [await each.get_json() for each in answers if each.status_code == 202]
    refused = [each for each in answers if each.status_code == 429]
    assert (len(accepted), len(refused)) == (5, 35)
    assert await stored(connection) == {UUID(each["id"]) for each in accepted}
    problem = await refused[0].get_json()
    assert problem["code"] == "rate-limited"
    assert "5/m" in problem["detail"]
    assert 1 <= int(refused[0].headers["Retry-After"]) <= 12
    assert refused[0].headers["RateLimit-Policy"] == '"tasks";q=5;w=60'


async def test_every_answer_says_what_is_left(database_url: str) -> None:
    """In the fields of the draft, as structured fields (RFC 9651)."""
    async with processes(database_url, FIVE_A_MINUTE) as [client]:
        answers = [await submit(client) for _ in range(3)]
        shown = [each.headers["RateLimit"] for each in answers]
        other = await client.get("/v1/pools")
    assert [each.split(";")[:2] for each in shown] == [
        ['"tasks"', "r=4"], ['"tasks"', "r=3"], ['"tasks"', "r=2"],
    ]  # fmt: skip
    assert shown[2] == '"tasks";r=2;t=36'
    assert "RateLimit" not in other.headers


async def test_without_limits_nothing_is_said_and_nothing_asked(
    database_url: str, connection: Connection
) -> None:
    """The default: no field, no bucket."""
    async with processes(database_url, Quota()) as [client]:
        answer = await submit(client)
    assert answer.status_code == 202
    assert "RateLimit" not in answer.headers
    assert await quotas_table.buckets(connection) == {}


async def test_what_a_full_backlog_refuses_costs_nothing(database_url: str) -> None:
    """One by one as in a batch: it was not stored, so it is not counted."""
    async with open_parts(database_url, table(FIVE_A_MINUTE), largest_backlog=0) as parts:
        client = client_of(parts)
        alone = [await submit(client) for _ in range(3)]
        together = await client.post("/v1/tasks/batch", json={"tasks": [TASK] * 3})
        last = await submit(client)
    for answer in (*alone, together, last):
        assert (answer.status_code, (await answer.get_json())["code"]) == (503, "backlog-full")
    assert last.headers["RateLimit"].startswith('"tasks";r=5')


async def test_a_repeat_costs_nothing(database_url: str) -> None:
    """Not while there is something left, and not when there is nothing: it gets its first reply."""
    async with processes(database_url, FIVE_A_MINUTE) as [client]:
        first = await (await submit(client, "one")).get_json()
        for _ in range(10):
            assert (await (await submit(client, "one")).get_json())["id"] == first["id"]
        others = [(await submit(client)).status_code for _ in range(5)]
        assert others == [202] * 4 + [429]
        again = await submit(client, "one")
        assert again.status_code == 202
        assert again.headers["Idempotency-Replayed"] == "true"
        assert (await again.get_json())["id"] == first["id"]


@pytest.mark.parametrize("ndjson", [False, True])
async def test_a_batch_is_let_through_in_part(
    database_url: str, connection: Connection, ndjson: bool
) -> None:
    """Its first items are accepted, the others refused one by one; sent again, it is the same."""
    body: dict[str, Any] = {"json": {"tasks": [TASK] * 8}}
    headers = {"Idempotency-Key": "batch"}
    if ndjson:
        body = {"data": "\n".join(json.dumps(TASK) for _ in range(8))}
        headers["Content-Type"] = "application/x-ndjson"
    async with processes(database_url, FIVE_A_MINUTE) as [client]:
        first = await client.post("/v1/tasks/batch", headers=headers, **body)
        items = (await first.get_json())["items"]
        again = await (await client.post("/v1/tasks/batch", headers=headers, **body)).get_json()
    assert first.status_code == 202
    assert [each.get("error", {}).get("status") for each in items] == [None] * 5 + [429] * 3
    assert await stored(connection) == {UUID(each["id"]) for each in items[:5]}
    assert [each["id"] for each in again["items"][:5]] == [each["id"] for each in items[:5]]
    assert again["rejected"] == 3


@pytest.mark.parametrize(
    ("quota", "state", "room"),
    [
        (Quota(queued=3), "queued", 0),
        (Quota(queued=3), "running", 3),
        (Quota(in_flight=3), "running", 0),
        (Quota(in_flight=3), "succeeded", 3),
        (Quota(stored=3 * 19), "succeeded", 0),
    ],
)
async def test_what_a_tenant_holds_is_bounded(
    database_url: str, connection: Connection, quota: Quota, state: str, room: int
) -> None:
    """It may hold three; what has ended, or runs, no longer waits, but what is stored is stored."""
    async with processes(database_url, quota) as [client]:
        assert [(await submit(client)).status_code for _ in range(3)] == [202] * 3
    await connection.execute(MOVE[state])
    async with open_pool(database_url, name="tests", size=1) as pool:
        await count_usage(pool, quota)
        await weigh_usage(pool, quota)
    async with processes(database_url, quota) as [client]:
        answers = [await submit(client) for _ in range(room + 1)]
    assert [each.status_code for each in answers] == [202] * room + [429]
    assert (await answers[-1].get_json())["code"] == "quota-exceeded"


ENDED = (
    "UPDATE tasks SET state = 'succeeded', finished_at = now(), lease_token = NULL,"
    " lease_expires_at = NULL"
)
RUNS = "UPDATE tasks SET state = 'running', lease_token = id, lease_expires_at = now()"
MOVE: dict[str, Any] = {
    "queued": "UPDATE tasks SET state = 'queued'",
    "running": RUNS,
    "succeeded": f"DO $$ BEGIN {RUNS}; {ENDED}; END $$",
}


async def test_what_was_there_before_the_limit_counts(
    database_url: str, connection: Connection
) -> None:
    """A tenant's first draw counts what it has."""
    async with processes(database_url, Quota()) as [client]:
        for _ in range(4):
            await submit(client)
    async with processes(database_url, Quota(queued=5)) as [client]:
        assert [(await submit(client)).status_code for _ in range(3)] == [202, 429, 429]


async def test_a_tenant_has_limits_of_its_own(database_url: str, connection: Connection) -> None:
    """They are read anew, without a restart; a key that is null is unlimited."""
    default, quota = TenantId("default"), Quota(queued=1)
    async with open_pool(database_url, name="tests", size=2) as pool:
        quotas = Quotas(pool, quota)
        await quotas.refresh()
        assert (await quotas.admit(default, [1, 1])).granted == 1
        await set_limits(connection, default, queued=None)
        await quotas.refresh()
        assert (await quotas.admit(default, [1] * 50)).granted == 50
        await count_usage(pool, quota)
        assert await quotas_table.buckets(connection) == {}  # not counted any more
        await set_limits(connection, TenantId("other"), rate="2/m")
        await quotas.refresh()
        assert (await quotas.admit(TenantId("other"), [1] * 5)).granted == 1  # and queued is 1
        assert (await quotas.admit(default, [1] * 50)).granted == 50


async def set_limits(connection: Connection, tenant: TenantId, **limits: Any) -> None:
    await quotas_table.set_tenant(connection, tenant, limits=limits, without=[], weight=None)


async def test_limits_that_cannot_be_read_stop_nobody(
    database_url: str, connection: Connection
) -> None:
    """Somebody wrote them by hand: the tenant has the default ones."""
    await set_limits(connection, TenantId("default"), rate="fast")
    async with processes(database_url, FIVE_A_MINUTE) as [client]:
        assert [(await submit(client)).status_code for _ in range(6)] == [202] * 5 + [429]


async def test_a_bucket_fills_again_while_time_passes(
    database_url: str, connection: Connection
) -> None:
    """By the clock of the database; what was never used is never more than the bucket holds."""
    async with open_pool(database_url, name="tests", size=1) as pool:
        async with open_quotas(pool, FIVE_A_MINUTE) as quotas:
            assert (await quotas.admit(TenantId("t"), [1] * 9)).granted == 5
        await connection.execute("UPDATE tenant_usage SET filled_at = now() - interval '30 s'")
        async with open_quotas(pool, FIVE_A_MINUTE) as quotas:
            assert (await quotas.admit(TenantId("t"), [1] * 9)).granted == 2
        await connection.execute("UPDATE tenant_usage SET filled_at = now() - interval '1 day'")
        async with open_quotas(pool, FIVE_A_MINUTE) as quotas:
            assert (await quotas.admit(TenantId("t"), [1] * 9)).granted == 5


async def test_refusals_do_not_ask_the_database_each_time(
    database_url: str, connection: Connection
) -> None:
    """A client that does not listen costs next to nothing."""
    async with open_pool(database_url, name="tests", size=1) as pool:
        quotas = Quotas(pool, FIVE_A_MINUTE)
        await quotas.admit(TenantId("t"), [1] * 9)
        await connection.execute("DROP TABLE tenant_usage")
        for _ in range(100):
            admission = await quotas.admit(TenantId("t"), [1])
            assert (admission.granted, type(admission.refusal).__name__) == (0, "RateLimited")
