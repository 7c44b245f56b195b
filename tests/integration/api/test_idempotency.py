"""Idempotency-Key over HTTP: the application on a real database, as two API processes have it."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from quart import Response
from quart.typing import TestClientProtocol as HttpClient
from werkzeug.datastructures import Headers

from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from tests.application import TABLE, api

Connection = psycopg.AsyncConnection[Any]
MOVED = RoutingTable(
    pools={"q": Pool(name="q", tasks=("a.*",), modules=("m",))},
    defaults={"a.b": TaskDefaults(priority=9)},
)
EMPTY = RoutingTable(pools={}, defaults={})
ORDER: dict[str, Any] = {"type": "a.b", "args": {"x": 1}}


async def post(
    client: HttpClient, body: object = ORDER, key: str | None = None
) -> tuple[int, bytes, str | None]:
    """Submit; return status, body and whether it was a repeat."""
    headers = {"Idempotency-Key": key} if key is not None else {}
    response = await client.post("/v1/tasks", json=body, headers=headers)
    return await _shown(response)


async def post_batch(
    client: HttpClient, items: list[Any], key: str | None = None
) -> tuple[int, bytes, str | None]:
    headers = {"Idempotency-Key": key} if key is not None else {}
    response = await client.post("/v1/tasks/batch", json={"tasks": items}, headers=headers)
    return await _shown(response)


async def _shown(response: Response) -> tuple[int, bytes, str | None]:
    body = await response.get_data(as_text=False)
    return response.status_code, body, response.headers.get("Idempotency-Replayed")


async def tasks_of(connection: Connection) -> int:
    row = await (await connection.execute("SELECT count(*) FROM tasks")).fetchone()
    assert row is not None
    return int(row[0])


async def test_a_hundred_posts_of_one_key_get_one_reply(
    connection: Connection, database_url: str
) -> None:
    """The same bytes from both processes; one of them is not a repeat."""
    async with api(database_url) as one, api(database_url) as two:
        replies = await asyncio.gather(*(post((one, two)[n % 2], key='"k"') for n in range(100)))
    assert {(status, body) for status, body, _ in replies} == {replies[0][:2]}
    assert replies[0][0] == 202
    assert sorted(repeat or "" for *_, repeat in replies) == [""] + ["true"] * 99
    assert await tasks_of(connection) == 1


async def test_a_repeat_gets_the_reply_of_the_first_whatever_has_changed_since(
    connection: Connection, database_url: str
) -> None:
    """The task has ended, its type has moved to another pool, or is gone: the very same bytes."""
    async with api(database_url) as before:
        first = await post(before, key="k")
        batch = await post_batch(before, [ORDER, {**ORDER, "idempotency_key": "i"}], key="b")
    await connection.execute(
        "UPDATE tasks SET state = 'cancelled', finished_at = now(), priority = 0"
    )
    for table in (TABLE, MOVED, EMPTY):
        async with api(database_url, table) as after:
            assert await post(after, key="k") == (*first[:2], "true")
            again = await post_batch(after, [ORDER, {**ORDER, "idempotency_key": "i"}], key="b")
            assert again == (*batch[:2], "true")
    assert await tasks_of(connection) == 3
    async with api(database_url, EMPTY) as after:
        status, body, _ = await post(after, {**ORDER, "args": {}}, key="k")
        assert (status, json.loads(body)["code"]) == (404, "unknown-task-type")
        assert (await post(after, key="other"))[0] == 404


async def test_another_request_under_the_same_key_is_refused(
    connection: Connection, database_url: str
) -> None:
    """422 with a code of its own and the task that has the key; nothing is stored."""
    async with api(database_url) as client:
        _, first, _ = await post(client, key="k")
        status, body, repeat = await post(client, {**ORDER, "args": {"x": 1.0}}, key='"k"')
        same = await post(client, {"args": {"x": 1}, "labels": {}, "type": "a.b"}, key="k")
    problem = json.loads(body)
    assert (status, problem["code"], repeat) == (422, "idempotency-key-reused", None)
    assert json.loads(first)["id"] in problem["detail"]
    assert same == (202, first, "true")
    assert await tasks_of(connection) == 1


@pytest.mark.parametrize("key", ["", '""', '"a', '"a", "b"', "x" * 256, "\u00fc"])
async def test_a_header_that_is_no_key_is_refused_by_name(database_url: str, key: str) -> None:
    """422, before anything is stored."""
    async with api(database_url) as client:
        status, body, _ = await post(client, key=key)
    assert (status, json.loads(body)["code"]) == (422, "invalid-request")
    assert [error["pointer"] for error in json.loads(body)["errors"]] == ["Idempotency-Key"]


async def test_two_keys_for_one_request_are_refused(database_url: str) -> None:
    """It is not known which is meant."""
    headers = Headers([("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    async with api(database_url) as client:
        response = await client.post("/v1/tasks", json=ORDER, headers=headers)
    assert response.status_code == 422
    assert "given 2 times" in (await response.get_json())["errors"][0]["detail"]


async def test_a_refusal_uses_no_key_up(database_url: str) -> None:
    """The corrected request may have the same key."""
    async with api(database_url) as client:
        assert (await post(client, {**ORDER, "priority": 10}, key="k"))[0] == 422
        status, _, repeat = await post(client, key="k")
    assert (status, repeat) == (202, None)


async def test_without_a_key_the_same_request_is_another_task(
    connection: Connection, database_url: str
) -> None:
    """Nobody guesses that two alike are one."""
    async with api(database_url) as client:
        assert (await post(client))[1] != (await post(client))[1]
    assert await tasks_of(connection) == 2


async def test_a_batch_under_a_key_may_be_sent_again_whole_or_by_item(
    connection: Connection, database_url: str
) -> None:
    """An item's own key wins over the derived one, and bad items are refused again."""
    items = [ORDER, {"type": "no.pool"}, {**ORDER, "idempotency_key": "mine"}, ORDER]
    async with api(database_url) as client:
        first = await post_batch(client, items, key='"K"')
        assert (first[0], first[2]) == (202, None)
        assert await post_batch(client, items, key='"K"') == (*first[:2], "true")
        found = json.loads(first[1])
        assert (found["accepted"], found["rejected"]) == (3, 1)
        for key, index in (("K/0", 0), ("mine", 2), ("K/3", 3)):
            status, body, repeat = await post(client, key=key)
            assert (status, repeat) == (202, "true")
            assert json.loads(body)["id"] == found["items"][index]["id"]
        longer = json.loads((await post_batch(client, [*items, ORDER], key="K"))[1])
        assert longer["items"][:4] == found["items"]
        changed = json.loads((await post_batch(client, [{**ORDER, "priority": 1}], key="K"))[1])
        assert changed["items"][0]["error"]["code"] == "idempotency-key-reused"
        assert (await post_batch(client, items, key="x" * 251))[0] == 422
    assert await tasks_of(connection) == 4


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
async def test_items_have_keys_of_their_own(
    connection: Connection, database_url: str, media: str
) -> None:
    """Twice in one batch is one task; a key that is none is refused with a pointer, alone."""
    items = [
        {**ORDER, "idempotency_key": "k"},
        {**ORDER, "idempotency_key": "k"},
        {**ORDER, "idempotency_key": "k", "priority": 9},
        {**ORDER, "idempotency_key": "\u00fc"},
        {**ORDER, "idempotency_key": "x" * 255},
        ORDER,
    ]
    lines = "\n".join(map(json.dumps, items))
    body = lines if media.endswith("ndjson") else json.dumps({"tasks": items})
    async with api(database_url) as client:
        response = await client.post(
            "/v1/tasks/batch", data=body.encode(), headers={"Content-Type": media}
        )
        found: Mapping[str, Any] = await response.get_json()
    one, two, reused, bad, long, plain = found["items"]
    assert one["id"] == two["id"]
    assert reused["error"]["code"] == "idempotency-key-reused"
    assert (bad["error"]["status"], bad["error"]["errors"][0]["pointer"]) == (
        422,
        "/idempotency_key",
    )
    assert len({one["id"], long["id"], plain["id"]}) == 3
    assert "Idempotency-Replayed" not in response.headers
    assert await tasks_of(connection) == 3


async def test_the_key_of_a_single_submission_is_not_a_field(database_url: str) -> None:
    """One place for one thing: the header."""
    async with api(database_url) as client:
        status, body, _ = await post(client, {**ORDER, "idempotency_key": str(uuid4())})
    assert status == 422
    assert json.loads(body)["errors"][0]["pointer"] == "/idempotency_key"
