"""Exactly-once effects: the finishing transaction, memos, keys."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.stack import Gateway


@pytest.fixture
def table(yard: Gateway) -> Iterator[str]:
    """A table of the user's own, in the same database."""
    name = f"effects_{uuid4().hex[:8]}"
    with psycopg.connect(yard.ready["database_url"], autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {name} (task_id text)".encode())
        yield name
        connection.execute(f"DROP TABLE {name}".encode())


def rows(yard: Gateway, table: str) -> int:
    """How many effects are there to see."""
    with psycopg.connect(yard.ready["database_url"]) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("task_type", ["quick.write", "quick.write_async"])
@pytest.mark.parametrize(("end", "attempts"), [("well", 1), ("error", 2), ("crash", 2)])
def test_an_effect_is_there_once_with_the_result(
    yard: Gateway, table: str, task_type: str, end: str, attempts: int
) -> None:
    """However the first attempt ended, what it wrote is gone with it."""
    task = yard.run(task_type, {"table": table, "end": end})
    assert (task["state"], task["result"]) == ("succeeded", attempts), task["error"]
    assert rows(yard, table) == 1


def test_an_effect_of_a_task_that_fails_is_never_seen(yard: Gateway, table: str) -> None:
    """Nor when it is the storing of the result that fails."""
    task = yard.run("quick.write_badly", {"table": table})
    assert (task["state"], task["error"]["code"]) == ("failed", "invalid-result")
    assert rows(yard, table) == 0


def test_a_step_is_done_once_over_all_attempts(yard: Gateway) -> None:
    """The second attempt reads what the first one kept; the effect key stays the same."""
    task = yard.run("quick.steps")
    first = next(e for e in yard.events(task["id"]) if e["state"] == "retrying")
    assert task["result"]["drawn"] == first["error"]["message"]
    assert task["result"]["key"] == f"{task['id']}:charge"
