"""storage.task_types: what no worker has any more is forgotten."""

from datetime import timedelta

from taskyard.storage.pool import AsyncConnection, connect_sync
from taskyard.storage.task_types import Announcement, announce, announcements, forget_of_no_pool

WEEK = timedelta(days=7, hours=1)


def announced(database_url: str, pool: str, *types: str) -> None:
    with connect_sync(database_url, name="tests") as connection:
        told = [Announcement(type=each, pool=pool, description="", schema={}) for each in types]
        announce(connection, pool, told)


async def aged(connection: AsyncConnection, by: timedelta) -> None:
    await connection.execute("UPDATE task_types SET announced_at = announced_at - %s", (by,))


async def known(connection: AsyncConnection) -> list[str]:
    return [each.type for each in await announcements(connection)]


async def test_what_a_new_worker_leaves_out_is_forgotten_after_a_week(
    connection: AsyncConnection, database_url: str
) -> None:
    """Not earlier: during a deploy workers of two versions run. And of its own pool alone."""
    announced(database_url, "p", "a.old", "a.b")
    announced(database_url, "q", "c.d")
    await aged(connection, WEEK - timedelta(hours=2))
    announced(database_url, "p", "a.b", "a.new")
    assert await known(connection) == ["a.b", "a.new", "a.old", "c.d"]
    await aged(connection, timedelta(hours=2))
    announced(database_url, "p", "a.b", "a.new")
    assert await known(connection) == ["a.b", "a.new", "c.d"]


async def test_types_of_a_pool_that_is_no_more_are_forgotten(
    connection: AsyncConnection, database_url: str
) -> None:
    """By the dispatcher: no worker of that pool will ever come to say so."""
    announced(database_url, "gone", "a.b")
    announced(database_url, "p", "c.d")
    assert await forget_of_no_pool(connection, {"p"}) == []
    await aged(connection, WEEK)
    assert await forget_of_no_pool(connection, {"p"}) == ["a.b"]
    assert await known(connection) == ["c.d"]
