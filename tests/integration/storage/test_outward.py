"""storage/relay.py and deliveries.py: cursors with a lease, and plans that do not grow."""

from typing import Any
from uuid import uuid4

import pytest

from taskyard.storage import relay
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.relay import Purpose
from taskyard.storage.sql import queries
from tests.outward import cancelled


async def test_a_cursor_has_one_holder(connection: AsyncConnection) -> None:
    """Until its lease runs out or is given back; only the holder moves it, from where it stands."""
    one, other = uuid4(), uuid4()

    async def hold(holder: Any, lease: float = 60) -> int | None:
        return await relay.hold_cursor(connection, Purpose.LIFECYCLE, holder=holder, lease=lease)

    async def move(holder: Any, after: int, position: int) -> bool:
        return await relay.move_cursor(
            connection, Purpose.LIFECYCLE, holder=holder, after=after, position=position, lease=60
        )

    assert [await hold(one), await hold(one), await hold(other)] == [0, 0, None]
    assert [await move(other, 0, 5), await move(one, 1, 5), await move(one, 0, 5)] == [
        False, False, True,
    ]  # fmt: skip
    await relay.release_cursors(connection, holder=other)
    assert await hold(other) is None
    await relay.release_cursors(connection, holder=one)
    assert [await hold(other, lease=-1), await hold(one)] == [5, 5]
    assert not await move(other, 5, 6)


async def test_a_cursor_that_was_removed_begins_with_what_is_new(
    connection: AsyncConnection,
) -> None:
    """Nobody wants to hear of everything that is kept."""
    await cancelled(connection, 3)
    await connection.execute("TRUNCATE relay_cursors")
    assert await relay.hold_cursor(connection, Purpose.WEBHOOKS, holder=uuid4(), lease=1) == 6


@pytest.mark.parametrize(
    ("table", "name", "values", "index"),
    [
        ("deliveries", "take_deliveries",
         {"token": uuid4(), "lease": 1, "most_at_once": 4, "limit": 9}, "webhook_deliveries_due"),
        ("deliveries", "take_deliveries",
         {"token": uuid4(), "lease": 1, "most_at_once": 4, "limit": 9},
         "webhook_deliveries_leased"),
        ("deliveries", "list_deliveries",
         {"webhook_id": uuid4(), "before": None, "state": None, "limit": 9, "tenant": "default"},
         "webhook_deliveries_of"),
        ("deliveries", "forget_deliveries", {"kept": 1, "limit": 9}, "webhook_deliveries_ended"),
        ("relay", "anybody_told", {}, "tasks_that_notify"),
        ("relay", "endings", {"ids": [uuid4()], "largest": 9}, "tasks_pkey"),
    ],
)  # fmt: skip
async def test_hot_statements_use_their_index(
    connection: AsyncConnection, table: str, name: str, values: dict[str, Any], index: str
) -> None:
    """A plan that reads the whole table would grow with it."""
    await connection.execute("SET enable_seqscan = off")
    await connection.execute("SET enable_bitmapscan = off")
    statement = b"EXPLAIN " + queries(table)[name].encode()
    plan = await (await connection.execute(statement, values)).fetchall()
    assert any(index in row[0] for row in plan), plan
