"""Waiting in the request: who waits for the end of a task is answered when it comes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from quart import Response
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api.parts import Parts
from taskyard.api.prefer import preference
from tests.application import client_of, open_parts

Connection = psycopg.AsyncConnection[Any]
ORDER: dict[str, Any] = {"type": "a.b", "args": {"x": 1}}
CONNECTIONS = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND backend_type = 'client backend'"
)
CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'taskyard api waiting' AND datname = current_database()"
)
END = "UPDATE tasks SET state = 'cancelled', finished_at = now() WHERE state = 'pending'"


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    async with open_parts(database_url) as opened:
        yield opened


@pytest.fixture
def http(parts: Parts) -> HttpClient:
    return client_of(parts)


async def submit(http: HttpClient, prefer: str = "", key: str = "") -> Response:
    headers = {
        **({"Prefer": prefer} if prefer else {}),
        **({"Idempotency-Key": key} if key else {}),
    }
    return await http.post("/v1/tasks", json=ORDER, headers=headers)


async def so(condition: Callable[[], bool]) -> None:
    """Return once it is so."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.01)


async def watched(connection: Connection, count: int) -> None:
    """Return once the end of so many tasks will be notified."""
    async with asyncio.timeout(30):
        while True:
            cursor = await connection.execute("SELECT count(*) FROM tasks WHERE watched")
            if await cursor.fetchone() == (count,):
                return
            await asyncio.sleep(0.01)


async def test_a_submission_that_waits_is_answered_with_the_ended_task(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """200, the whole task, and what was honoured of the preference."""
    asking = asyncio.create_task(submit(http, "wait=20"))
    await watched(connection, 1)
    await connection.execute(END)
    response = await asking
    assert response.status_code == 200
    assert (await response.get_json())["state"] == "cancelled"
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.headers["Location"].endswith((await response.get_json())["id"])
    assert len(parts.waiting) == 0


async def test_when_time_is_up_a_submission_is_accepted_all_the_same(
    http: HttpClient, parts: Parts
) -> None:
    """202, as without the preference."""
    response = await submit(http, "wait=1")
    assert response.status_code == 202
    assert (await response.get_json())["state"] == "pending"
    assert len(parts.waiting) == 0


async def test_respond_async_does_not_wait(http: HttpClient, connection: Connection) -> None:
    """And nobody is notified."""
    response = await submit(http, "respond-async")
    assert response.status_code == 202
    assert response.headers["Preference-Applied"] == "respond-async"
    await watched(connection, 0)


async def test_a_repeat_waits_for_the_first_task(http: HttpClient, connection: Connection) -> None:
    """Which nobody watched before: the same task, ended."""
    first = await (await submit(http, key="k")).get_json()
    asking = asyncio.create_task(submit(http, "wait=20", key="k"))
    await watched(connection, 1)
    await connection.execute(END)
    response = await asking
    found = await response.get_json()
    assert (response.status_code, found["id"], found["state"]) == (200, first["id"], "cancelled")
    assert response.headers["Idempotency-Replayed"] == "true"


async def test_a_read_waits_for_the_end(http: HttpClient, connection: Connection) -> None:
    """Many who wait for one task are all answered."""
    address = (await (await submit(http)).get_json())["links"]["self"]
    asking = [asyncio.create_task(http.get(f"{address}?wait=20")) for _ in range(20)]
    await watched(connection, 1)
    await connection.execute(END)
    for response in await asyncio.gather(*asking):
        assert (await response.get_json())["state"] == "cancelled"
    assert (await (await http.get(f"{address}?wait=20")).get_json())["state"] == "cancelled"


async def test_a_read_whose_time_is_up_shows_the_task_as_it_stands(http: HttpClient) -> None:
    """200 with the state."""
    address = (await (await submit(http)).get_json())["links"]["self"]
    response = await http.get(f"{address}?wait=1")
    assert (response.status_code, (await response.get_json())["state"]) == (200, "pending")


@pytest.mark.parametrize("wait", ["-1", "soon", "1.5", ""])
async def test_a_wait_that_is_no_number_is_refused(http: HttpClient, wait: str) -> None:
    """422, pointing at it."""
    address = (await (await submit(http)).get_json())["links"]["self"]
    response = await http.get(f"{address}?wait={wait}")
    assert response.status_code == 422
    assert (await response.get_json())["errors"][0]["pointer"] == "?wait"


async def test_who_waits_for_nothing_is_told_at_once(http: HttpClient) -> None:
    """404."""
    nobody = f"/v1/tasks/{uuid4()}?wait=60"
    assert (await http.get(nobody)).status_code == 404


async def test_an_end_that_comes_before_the_look_is_not_missed(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """However both fall together: 200 tasks end while 200 requests come."""
    made = [await (await submit(http)).get_json() for _ in range(200)]
    asking = [asyncio.create_task(http.get(f"{task['links']['self']}?wait=30")) for task in made]
    for task in made:
        await connection.execute(END + " AND id = %s", (task["id"],))
    async with asyncio.timeout(20):
        found = [await (await response).get_json() for response in asking]
    assert {task["state"] for task in found} == {"cancelled"}
    assert len(parts.waiting) == 0


async def test_ends_unheard_while_the_connection_was_lost_are_found(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """The listening connection is cut, the task ends, the connection comes back."""
    asking = asyncio.create_task(submit(http, "wait=30"))
    await watched(connection, 1)
    async with connection.transaction():
        await connection.execute(CUT)
        await connection.execute("LOCK TABLE tasks IN SHARE MODE")
    await connection.execute(END)
    async with asyncio.timeout(15):
        assert (await (await asking).get_json())["state"] == "cancelled"


async def test_a_thousand_wait_on_one_connection_and_survive_its_loss(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """They cost no thread each and no connection; all are answered though nothing was heard."""
    batch = {"tasks": [ORDER] * 1_000}
    made = await (await http.post("/v1/tasks/batch", json=batch)).get_json()
    threads = threading.active_count()
    asking: list[asyncio.Task[Any]] = []
    # A hundred at a time: who finds no connection of the four within 5 s is turned away.
    for first in range(0, 1_000, 100):
        some = made["items"][first : first + 100]
        asking += [asyncio.create_task(http.get(f"/v1/tasks/{one['id']}?wait=60")) for one in some]
        await watched(connection, len(asking))
    await so(lambda: len(parts.waiting) == 1_000)
    assert threading.active_count() < threads + 10
    # The pool has four, one listens for this process, one is the test's own
    assert (await (await connection.execute(CONNECTIONS)).fetchone() or (99,))[0] <= 6
    async with connection.transaction():
        cursor = await connection.execute(CUT)
        assert len(await cursor.fetchall()) == 1
        await connection.execute("LOCK TABLE tasks IN SHARE MODE")
    await connection.execute(END)
    async with asyncio.timeout(30):
        found = [await (await response).get_json() for response in asking]
    assert {task["state"] for task in found} == {"cancelled"}
    assert len(parts.waiting) == 0


async def test_who_hangs_up_leaves_nothing_behind(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """The request is cancelled, as the server does when the client is gone."""
    address = (await (await submit(http)).get_json())["links"]["self"]
    async with http.request(f"{address}?wait=30") as request:
        await request.send_complete()
        await watched(connection, 1)
        await so(lambda: len(parts.waiting) == 1)
        await request.disconnect()
        await so(lambda: len(parts.waiting) == 0)


async def test_a_stopping_process_answers_who_waits(
    http: HttpClient, parts: Parts, connection: Connection
) -> None:
    """With what there is; and nobody waits from then on."""
    asking = asyncio.create_task(submit(http, "wait=30"))
    await watched(connection, 1)
    parts.waiting.let_go()
    async with asyncio.timeout(5):
        assert (await asking).status_code == 202
        assert (await submit(http, "wait=30")).status_code == 202


async def test_a_tag_saves_the_second_reading(http: HttpClient, connection: Connection) -> None:
    """304 until the task changes."""
    address = (await (await submit(http)).get_json())["links"]["self"]
    tag = (await http.get(address)).headers["ETag"]
    again = await http.get(address, headers={"If-None-Match": tag})
    assert (again.status_code, await again.get_data(as_text=False)) == (304, b"")
    await connection.execute(END)
    assert (await http.get(address, headers={"If-None-Match": tag})).status_code == 200


@pytest.mark.parametrize(
    ("lines", "wait", "applied"),
    [
        ([], 0, None),
        (["wait=10"], 10, "wait=10"),
        (["respond-async, wait=10"], 10, "wait=10"),
        (["respond-async"], 0, "respond-async"),
        (["Wait = 5 ; x=y", "wait=9"], 5, "wait=5"),
        (["wait=100000000000000000000"], 60, "wait=60"),
        (['wait="7"'], 7, "wait=7"),
        (["wait"], 0, None), (["wait=-1"], 0, None), (["wait=0"], 0, None),
        (["wait=\u0663"], 0, None), (["return=minimal, ,="], 0, None),
    ],
)  # fmt: skip
def test_preferences_are_read_as_the_rfc_says(
    lines: list[str], wait: int, applied: str | None
) -> None:
    """RFC 7240: what is not understood is ignored, the first of two counts."""
    found = preference(lines)
    assert (found.wait, found.applied) == (wait, applied)
