"""The second wall: what a transaction of one tenant sees when a statement forgets to ask."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from taskyard.core.principal import Owner, TenantId
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection, OwnPool, Pool, borrowed, open_pool, owned_by
from tests.outward import new

# Whatever has a tenant is behind the wall. These are read by nobody on a tenant's behalf.
UNREACHABLE = {"api_keys", "sessions", "tenant_shares", "tenant_usage", "line_turns"}


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=1) as opened:
        yield opened


def of(pool: Pool, tenant: str) -> OwnPool:
    return OwnPool(pool, Owner(TenantId(tenant)))


async def count(connection: AsyncConnection, table: str) -> int:
    row = await (await connection.execute(f"SELECT count(*) FROM {table}".encode())).fetchone()
    assert row is not None
    return int(row[0])


async def test_every_table_with_a_tenant_is_behind_the_wall(connection: AsyncConnection) -> None:
    """Row level security is on, for the owner of the table as well, and there is a policy."""
    rows = await (
        await connection.execute(
            "SELECT relname, relrowsecurity AND relforcerowsecurity,"
            " has_table_privilege('taskyard_tenant', pg_class.oid, 'SELECT'),"
            " (SELECT count(*) FROM pg_policy WHERE polrelid = pg_class.oid)"
            " FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
            " WHERE relkind = 'r' AND attname = 'tenant'"
        )
    ).fetchall()
    assert {row[0] for row in rows} >= {"tasks", "task_events", "webhooks", "idempotency_keys"}
    for name, walled, reachable, policies in rows:
        assert walled, name
        assert (reachable, policies) == ((False, 1) if name in UNREACHABLE else (True, 2)), name


async def test_a_statement_that_forgets_the_tenant_sees_its_own_rows_only(
    connection: AsyncConnection, pool: Pool
) -> None:
    """Reads, changes and removals find nothing; what is written must be its own."""
    await tasks.insert(connection, [new()])
    async with borrowed(of(pool, "default")) as own:
        assert await count(own, "tasks") == await count(own, "task_events") == 1
    async with borrowed(of(pool, "other")) as other:
        assert await count(other, "tasks") == await count(other, "task_events") == 0
        assert (await other.execute("UPDATE tasks SET priority = 9")).rowcount == 0
        assert (await other.execute("DELETE FROM tasks")).rowcount == 0
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        async with borrowed(of(pool, "other")) as other:
            await tasks.insert(other, [new()])  # of the tenant `default`
    async with borrowed(pool) as everybody:
        assert await count(everybody, "tasks") == 1


async def test_a_role_without_a_tenant_sees_nothing_at_all(pool: Pool) -> None:
    """It fails closed."""
    async with borrowed(pool) as connection, connection.transaction(force_rollback=True):
        await connection.execute("SET LOCAL ROLE taskyard_tenant")
        with pytest.raises(psycopg.errors.UndefinedObject, match=r"taskyard\.tenant"):
            await count(connection, "tasks")


async def test_keys_and_other_tables_are_out_of_reach(pool: Pool) -> None:
    """On a tenant's behalf nothing is read that belongs to the deployment."""
    for table in ("api_keys", "relay_cursors", "schema_migrations"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with borrowed(of(pool, "default")) as connection:
                await count(connection, table)


async def test_a_connection_comes_back_without_a_tenant(pool: Pool) -> None:
    """Role and tenant end with the transaction, whatever ends it; there is one connection."""
    async with borrowed(of(pool, "one")) as connection:
        assert owned_by(connection)["tenant"] == "one"
    with pytest.raises(ZeroDivisionError):
        async with borrowed(of(pool, "two")) as connection:
            raise ZeroDivisionError
    async with borrowed(pool) as connection:
        row = await (
            await connection.execute(
                "SELECT current_user::text, current_setting('taskyard.tenant', true)"
            )
        ).fetchone()
        assert row is not None
        assert row[0] != "taskyard_tenant"
        assert not row[1]
        with pytest.raises(LookupError, match="nobody's behalf"):
            owned_by(connection)


async def test_a_name_that_is_no_tenant_cannot_break_out(pool: Pool) -> None:
    """It is quoted, though no such tenant can be made."""
    evil = "x'; RESET ROLE; SET taskyard.tenant = 'default"
    async with borrowed(of(pool, evil)) as connection:
        row = await (
            await connection.execute(
                "SELECT current_user::text, current_setting('taskyard.tenant')"
            )
        ).fetchone()
    assert row == ("taskyard_tenant", evil)
