"""finish_by: let in or refused with the earliest time, and raised as the date comes near."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.storage import tasks, windows
from tests.application import api
from tests.submissions import new

Connection = psycopg.AsyncConnection[Any]
_RUN = 10.0  # seconds


@pytest.fixture
async def http(connection: Connection, database_url: str) -> AsyncIterator[HttpClient]:
    """One worker with two slots, on which tasks run for ten seconds; both are taken."""
    await windows.count_consumers(connection, "p", 1, size=8)
    await connection.execute(
        "UPDATE pool_windows SET run_mean = %(run)s, run_variance = 0", {"run": _RUN}
    )
    for row in [new(None), new(None)]:
        await tasks.insert(connection, [row])
    await connection.execute(
        "UPDATE tasks SET state = 'running', lease_token = id, lease_expires_at = now()"
    )
    async with api(database_url) as client:
        yield client


async def submit(http: HttpClient, seconds: float, **more: Any) -> tuple[int, dict[str, Any]]:
    finish_by = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    answer = await http.post("/v1/tasks", json={"type": "a.b", "finish_by": finish_by, **more})
    return answer.status_code, await answer.get_json()


async def test_what_cannot_be_done_is_refused_with_the_earliest_time(http: HttpClient) -> None:
    """A code of its own; whoever sends it again with that time is let in."""
    status, problem = await submit(http, _RUN)
    assert (status, problem["code"]) == (409, "not-feasible")
    [fault] = problem["errors"]
    assert fault["pointer"] == "/finish_by"
    earliest = datetime.fromisoformat(fault["detail"].rsplit(" ", 1)[1])
    ahead = (earliest - datetime.now(UTC)).total_seconds()
    assert 1.2 * _RUN < ahead < 3 * _RUN
    answer = await http.post(
        "/v1/tasks",
        json={"type": "a.b", "finish_by": (earliest + timedelta(seconds=5)).isoformat()},
    )
    assert answer.status_code == 202


async def test_only_the_most_urgent_stand_in_its_way(
    connection: Connection, http: HttpClient
) -> None:
    """It may rise above all that is less urgent than 9."""
    assert (await submit(http, 30.0))[0] == 202
    await tasks.insert(connection, [new(None, priority=8) for _ in range(100)])
    assert (await submit(http, 30.0))[0] == 202
    await tasks.insert(connection, [new(None, priority=9) for _ in range(100)])
    assert (await submit(http, 30.0))[0] == 409


async def test_a_delay_counts(http: HttpClient) -> None:
    """It cannot be done before it may start."""
    assert (await submit(http, 60.0, delay="30s"))[0] == 202
    assert (await submit(http, 60.0, delay="50s"))[0] == 409


@pytest.mark.parametrize("finish_by", ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00", "soon"])
async def test_a_date_that_is_none_is_refused(http: HttpClient, finish_by: str) -> None:
    """In the past, without a time zone, not a date."""
    answer = await http.post("/v1/tasks", json={"type": "a.b", "finish_by": finish_by})
    assert (answer.status_code, (await answer.get_json())["code"]) == (422, "invalid-request")


async def test_in_a_batch_each_item_is_judged(http: HttpClient) -> None:
    """One that cannot be done spoils no other."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    items = [{"type": "a.b"}, {"type": "a.b", "finish_by": soon}, {"type": "a.b"}]
    answer = await http.post("/v1/tasks/batch", json={"tasks": items})
    found = (await answer.get_json())["items"]
    assert [each.get("error", {}).get("code") for each in found] == [None, "not-feasible", None]


async def test_where_nothing_ran_yet_it_is_let_in(database_url: str) -> None:
    """Nobody can tell; the date still raises it."""
    async with api(database_url) as client:
        assert (await submit(client, 1.0))[0] == 202


async def test_it_rises_as_half_of_the_time_left_is_used_up(connection: Connection) -> None:
    """From its own priority to the top, where it stays; others stay where they are."""
    start_by = datetime.now(UTC) + timedelta(hours=1)
    dated = new(None, finish_by=start_by, start_by=start_by)
    await tasks.insert(connection, [dated, new(None)])
    assert await tasks.boost_due(connection, limit=10) == 0
    levels = []
    for _ in range(7):
        await connection.execute(
            "UPDATE tasks SET boost_at = boost_at - (boost_at - now()),"
            " start_by = start_by - (boost_at - now()) WHERE boost_at IS NOT NULL"
        )
        await tasks.boost_due(connection, limit=10)
        cursor = await connection.execute("SELECT priority + boost FROM tasks ORDER BY 1 DESC")
        levels.append([row[0] for row in await cursor.fetchall()])
    assert levels == [[5, 4], [6, 4], [7, 4], [8, 4], [9, 4], [9, 4], [9, 4]]


async def test_in_the_last_second_it_is_at_the_top(connection: Connection) -> None:
    """And the dispatcher knows when to look."""
    start_by = datetime.now(UTC) + timedelta(seconds=0.5)
    await tasks.insert(connection, [new(None, priority=1, finish_by=start_by, start_by=start_by)])
    seconds = await tasks.next_deadline(connection)
    assert seconds is not None
    assert seconds < 0.3
    await connection.execute("UPDATE tasks SET boost_at = now()")
    assert await tasks.boost_due(connection, limit=10) == 1
    cursor = await connection.execute("SELECT priority, boost, boost_at FROM tasks")
    assert await cursor.fetchone() == (1, 8, None)
