"""`taskyard statistics`: what was counted, in all."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.cli import app
from taskyard.core.statistics import BOUNDS
from taskyard.storage.pool import AsyncConnection
from tests.stack import deployment

Run = Callable[..., Result]
COUNT = """
INSERT INTO statistics (span, at, tenant, pool, type, change, count, seconds, buckets)
VALUES (1, date_trunc('minute', %(at)s::timestamptz), %(tenant)s, 'p', %(type)s, %(change)s,
        %(count)s, %(count)s, %(buckets)s)"""


async def count(
    connection: AsyncConnection, change: str, number: int, *, tenant: str, of_type: str = "a.b"
) -> None:
    """So many changes ten minutes ago, each of which took a second."""
    await connection.execute(
        COUNT,
        {
            "at": datetime.now(UTC) - timedelta(minutes=10), "tenant": tenant, "type": of_type,
            "change": change, "count": number,
            "buckets": [number if bound == 1.0 else 0 for bound in (*BOUNDS, None)],
        },
    )  # fmt: skip


@pytest.fixture
def run(database_url: str) -> Run:
    env = deployment() | {
        "TASKYARD_DATABASE_URL": database_url, "TASKYARD_STORES": "", "COLUMNS": "160",
        "TASKYARD_AMQP_URL": "amqp://nobody@127.0.0.1/v",
    }  # fmt: skip

    return lambda *words: CliRunner().invoke(app, ["statistics", *words], env=env)


def said(run: Run, *words: str) -> str:
    """What the command prints. It has an event loop of its own: to be called from a thread."""
    result = run(*words)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


async def test_what_happened_is_a_row_for_each_pool(connection: AsyncConnection, run: Run) -> None:
    """Of all tenants together; of one pool, for each type."""
    await count(connection, "succeeded", 6, tenant="one")
    await count(connection, "failed", 2, tenant="other", of_type="a.c")
    await count(connection, "started", 8, tenant="one")
    [row] = json.loads(await asyncio.to_thread(said, run, "--json", "--last", "6h"))
    assert (row["name"], row["ended"], row["failed"]) == ("p", 8, 0.25)
    assert 0.5 < row["wait_p50"] < row["wait_p95"] <= 1.0
    assert 0.5 < row["run_p50"] < row["run_p95"] <= 1.0
    shown = (await asyncio.to_thread(said, run, "--pool", "p")).strip().splitlines()
    assert shown[0].split()[:3] == ["type", "ended", "failed"]
    assert [line.split()[:3] for line in shown[2:4]] == [
        ["a.b", "6", "0.0%"],
        ["a.c", "2", "100.0%"],
    ]
    assert json.loads(await asyncio.to_thread(said, run, "--json", "--type", "a.none")) == []


def test_another_time_is_refused_in_words(run: Run) -> None:
    """It says which there are."""
    refused = run("--last", "1y")
    assert refused.exit_code == 2
    assert "is none of 1h, 6h" in refused.stderr
