"""`taskyard check --live`: what a deploy would fail is counted before it is deployed."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.sealed import parse_keys
from taskyard.core.task import NewTask
from taskyard.services.live import Misfit, misfits
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sealing import NO_KEYS, KeyRing
from taskyard.storage.task_types import Announcement
from tests.encryption import ENCRYPTION_KEYS
from tests.stack import deployment, environment
from tests.submissions import new

TABLE = RoutingTable(pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})
WIDTH = {
    "type": "object",
    "properties": {"width": {"type": "integer", "minimum": 1}},
    "required": ["width"],
    "additionalProperties": False,
}
CODE = [Announcement(type=name, pool="p", description="", schema=WIDTH) for name in ("a.b", "a.c")]


async def stored(connection: AsyncConnection, *args: str, **more: Any) -> list[NewTask]:
    """Tasks with these arguments, one after the other."""
    rows = [new(None, args=each, **more) for each in args]
    await tasks.insert(connection, rows)
    return rows


async def ended(connection: AsyncConnection, rows: list[NewTask], state: str) -> None:
    await connection.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_moved")
    await connection.execute(
        "UPDATE tasks SET state = %s, finished_at = now() WHERE id = ANY (%s)",
        (state, [row.id for row in rows]),
    )


async def test_what_waits_and_what_is_dead_is_counted_by_type(connection: AsyncConnection) -> None:
    """With a sample and where it does not fit; what fits or has ended well is not."""
    await stored(connection, '{"width":1}', delay=60)
    wrong = await stored(connection, '{"width":0}', '{"width":0}', delay=60)
    [dead] = await stored(connection, '{"height":3,"width":2}', type="a.c")
    await ended(connection, [dead], "failed")
    for state in ("succeeded", "cancelled"):
        await ended(connection, await stored(connection, "{}"), state)
    found = await misfits(connection, CODE, TABLE)
    assert [(each.type, each.dead_letters, each.count) for each in found] == [
        ("a.b", False, 2), ("a.c", True, 1),
    ]  # fmt: skip
    assert found[0].sample in {row.id for row in wrong}
    assert found[0].pointer == "/width"
    assert "minimum" in found[0].problem
    assert (found[1].sample, "height" in found[1].problem) == (dead.id, True)


@pytest.mark.parametrize("state", ["pending", "queued", "retrying", "expired", "quarantined"])
async def test_every_state_that_may_run_again_counts(
    connection: AsyncConnection, state: str
) -> None:
    """Whoever waits, and whoever may be replayed."""
    rows = await stored(connection, "{}")
    await connection.execute("ALTER TABLE tasks DISABLE TRIGGER tasks_moved")
    await connection.execute(
        "UPDATE tasks SET state = %(state)s,"
        " finished_at = CASE WHEN %(dead)s THEN now() END WHERE id = %(id)s",
        {"state": state, "dead": state in ("expired", "quarantined"), "id": rows[0].id},
    )
    [found] = await misfits(connection, CODE, TABLE)
    assert (found.sample, found.count) == (rows[0].id, 1)


async def test_types_that_the_code_or_the_routes_have_no_more_are_found(
    connection: AsyncConnection,
) -> None:
    """Their tasks would wait for ever."""
    await stored(connection, "{}", type="a.gone")
    await stored(connection, "{}", type="b.gone")
    problems = [each.problem for each in await misfits(connection, CODE, TABLE)]
    assert problems == ["no task answers to the type", "no pool runs the type"]


async def test_sealed_arguments_are_opened_or_it_is_said_that_they_cannot_be(
    connection: AsyncConnection,
) -> None:
    """Without the key nobody can tell."""
    connection.ring = KeyRing(parse_keys(ENCRYPTION_KEYS))
    await stored(connection, '{"width":1}')
    assert await misfits(connection, CODE, TABLE) == []
    connection.ring = NO_KEYS
    [found] = await misfits(connection, CODE, TABLE)
    assert "cannot be opened" in found.problem


async def test_more_than_fits_into_memory_at_once_is_walked(connection: AsyncConnection) -> None:
    """Batch by batch; all are counted."""
    rows = [new(None, args="{}") for _ in range(1_201)]
    await tasks.insert(connection, rows)
    [found] = await misfits(connection, CODE, TABLE)
    assert replace(found, sample=rows[0].id) == Misfit(
        type="a.b", dead_letters=False, count=1_201, sample=rows[0].id, pointer="",
        problem=found.problem,
    )  # fmt: skip


def test_the_command_refuses_a_deploy_and_says_why(database_url: str, tmp_path: Path) -> None:
    """Exit code 1 with the code of now and a task that does not fit; 0 when it is gone."""
    env = environment(
        TASKYARD_DATABASE_URL=database_url,
        TASKYARD_AMQP_URL="amqp://u:p@127.0.0.1:1/none",
        TASKYARD_STORES=f"files={tmp_path}",
        **deployment(),
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at,"
            " args) VALUES (%s, 'calm.add', 'calm', 4, 'pending', 3, now(), now(), %s)",
            (new(None).id, '{"a": "x"}'),
        )

        def check(*words: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "taskyard", "check", *words]
            return subprocess.run(command, env=env, capture_output=True, text=True, check=False)

        refused = check("--live", "--json")
        assert refused.returncode == 1, refused.stderr
        [misfit] = json.loads(refused.stdout)["misfits"]
        assert (misfit["type"], misfit["count"]) == ("calm.add", 1)
        connection.execute("DELETE FROM tasks")
        fits = check("--live")
        assert (fits.returncode, "everything that waits" in fits.stdout) == (0, True), fits.stderr
