"""`taskyard top`: what waits, runs and began lately, as it is."""

import asyncio
import json
from collections.abc import Callable
from uuid import uuid4

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.cli import app
from taskyard.core.lease import LeaseToken
from taskyard.core.task import TaskId
from taskyard.dev.processes import free_port
from taskyard.routing_files import read_routing
from taskyard.services.topology import apply_topology
from taskyard.storage import attempts, tasks
from taskyard.storage.pool import AsyncConnection, connect_sync
from tests.stack import HERE, deployment
from tests.submissions import new

Run = Callable[..., Result]


@pytest.fixture
def run(database_url: str, amqp_url: str, prefix: str) -> Run:
    env = deployment() | {
        "TASKYARD_DATABASE_URL": database_url,
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": prefix,
        "TASKYARD_STORES": "",
        "COLUMNS": "160",
    }
    return lambda *words, **more: CliRunner().invoke(app, ["top", "--once", *words], env=env | more)


@pytest.fixture
async def busy(
    connection: AsyncConnection, database_url: str, amqp_url: str, prefix: str
) -> list[TaskId]:
    """Of the pool quick two run, the second longer, three wait; one began 4 s after it was due."""
    table = read_routing(HERE / "deployment" / "routing")
    await apply_topology(connection, amqp_url=amqp_url, table=table, prefix=prefix)
    rows = [new(None, type="quick.echo", pool="quick") for _ in range(5)]
    await tasks.insert(connection, rows)
    with connect_sync(database_url, name="tests") as worker, worker.cursor() as cursor:
        for each in rows[:2]:
            token = LeaseToken(uuid4())
            assert attempts.claim(cursor, each.id, "quick.echo", "quick@host", token)
    for seconds, each in ((4, rows[0]), (0, rows[1])):
        await connection.execute(
            "UPDATE tasks SET due_at = started_at - %s * interval '1 s' WHERE id = %s",
            (seconds, each.id),
        )
    await connection.execute(
        "UPDATE tasks SET started_at = started_at - interval '90 s' WHERE id = %s", (rows[1].id,)
    )
    return [row.id for row in rows]


async def test_it_counts_what_is_there(run: Run, busy: list[TaskId]) -> None:
    """Of each pool, with the rate and the waits of the last ten seconds; and what runs longest."""
    done = await asyncio.to_thread(run, "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["broker_up"] is True
    quick, calm = found["pools"]
    assert (quick["name"], quick["running"], quick["waiting"], quick["held"]) == ("quick", 2, 3, 0)
    assert (quick["workers"], quick["slots"], quick["ready"]) == (0, 0, 0)
    assert quick["rate"] == pytest.approx(0.2)
    assert (quick["wait_p50"], quick["wait_p90"]) == (
        pytest.approx(2.0, abs=0.1),
        pytest.approx(3.6, abs=0.1),
    )
    assert (calm["running"], calm["rate"], calm["wait_p50"]) == (0, 0, None)
    assert [each["id"] for each in found["longest"]] == [str(busy[1]), str(busy[0])]
    assert found["longest"][0]["seconds"] == pytest.approx(90, abs=20)


async def test_it_shows_the_same_in_words(run: Run, busy: list[TaskId]) -> None:
    """A row for each pool, and one for each attempt; nothing is cut off."""
    done = await asyncio.to_thread(run)
    assert done.exit_code == 0, done.output
    assert "quick" in done.stdout
    assert "calm" in done.stdout
    assert str(busy[0]) in done.stdout


async def test_a_broker_that_is_away_leaves_gaps(run: Run, busy: list[TaskId]) -> None:
    """What the database knows is shown all the same."""
    nowhere = {"TASKYARD_AMQP_URL": f"amqp://u:p@127.0.0.1:{free_port()}/v"}
    found = json.loads((await asyncio.to_thread(run, "--json", **nowhere)).stdout)
    assert (found["broker_up"], found["pools"][0]["workers"]) == (False, None)
    assert found["pools"][0]["running"] == 2
    assert "does not answer" in (await asyncio.to_thread(run, **nowhere)).stdout


def test_a_database_that_is_away_is_said(run: Run) -> None:
    """In a sentence, with exit code 2."""
    url = f"postgresql://u:p@127.0.0.1:{free_port()}/d"
    done = run(TASKYARD_DATABASE_URL=url)
    assert (done.exit_code, "the database does not answer" in done.stderr) == (2, True)
