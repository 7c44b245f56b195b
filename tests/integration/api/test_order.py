"""The order of what waits, over HTTP."""

from typing import Any

import psycopg
import pytest

from taskyard.core.states import State
from tests.application import api
from tests.submissions import new

Connection = psycopg.AsyncConnection[Any]

STATES = {
    "scheduled": 200, "pending": 200, "queued": 200, "retrying": 200,
    "running": "already-started", "succeeded": "too-late", "failed": "too-late",
    "cancelled": "too-late", "expired": "too-late", "quarantined": "too-late",
}  # fmt: skip


async def stored(connection: Connection, state: str) -> str:
    """A task in some state, put there by the database's own rules switched off."""
    from taskyard.storage import tasks

    task = new(None)
    await tasks.insert(connection, [task])
    await connection.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_moved")
    await connection.execute(
        "UPDATE tasks SET state = %(state)s,"
        " finished_at = CASE WHEN %(ended)s THEN now() END,"
        " lease_token = CASE %(state)s WHEN 'running' THEN id END,"
        " lease_expires_at = CASE %(state)s WHEN 'running' THEN now() + interval '1 h' END"
        " WHERE id = %(id)s",
        {"id": task.id, "state": state, "ended": STATES[state] == "too-late"},
    )
    return str(task.id)


@pytest.mark.parametrize("state", STATES)
async def test_what_waits_can_be_given_another_priority(
    connection: Connection, database_url: str, state: str
) -> None:
    """What has started or ended is refused, and says which."""
    assert set(STATES) == set(State)
    task = await stored(connection, state)
    async with api(database_url) as client:
        answer = await client.post(f"/v1/tasks/{task}/reprioritise", json={"priority": 9})
        said = await answer.get_json()
        shown = await (await client.get(f"/v1/tasks/{task}")).get_json()
    if STATES[state] == 200:
        assert (answer.status_code, said["priority"]) == (200, 9)
    else:
        assert (answer.status_code, said["code"]) == (409, STATES[state])
    assert shown["priority"] == (9 if STATES[state] == 200 else 4)


@pytest.mark.parametrize(
    ("body", "code"),
    [({"priority": 10}, 422), ({"priority": -1}, 422), ({}, 422), ({"priority": "9"}, 422)],
)
async def test_a_priority_that_is_none_is_refused(
    connection: Connection, database_url: str, body: dict[str, Any], code: int
) -> None:
    """With a pointer to it, and nothing changed."""
    task = await stored(connection, "pending")
    async with api(database_url) as client:
        answer = await client.post(f"/v1/tasks/{task}/reprioritise", json=body)
        assert answer.status_code == code
        assert (await (await client.get(f"/v1/tasks/{task}")).get_json())["priority"] == 4


async def test_a_task_that_never_was_is_not_found(database_url: str) -> None:
    """As everywhere."""
    async with api(database_url) as client:
        answer = await client.post(f"/v1/tasks/{new(None).id}/reprioritise", json={"priority": 1})
        assert answer.status_code == 404
