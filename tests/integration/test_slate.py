"""What one test leaves in its database, the next one does not find."""

from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.slate import Slate

LEFT = {
    "rows": "INSERT INTO tenants (name) VALUES ('left')",
    "no seed": "DELETE FROM tenants",
    "another seed": "UPDATE measured SET position = 7",
    "no ledger": "TRUNCATE schema_migrations",
    "statistics": "INSERT INTO tenants (name) VALUES ('left'); ANALYZE tenants",
    "a vacuumed table": "VACUUM tenants",
    "dead rows": "INSERT INTO tenants (name) SELECT 'left-' || n FROM generate_series(1, 5000) n;"
    " DELETE FROM tenants",
    "a position that nobody has": "SELECT nextval('task_events_position_seq')",
    "entries that cannot be removed": "INSERT INTO audit_log"
    " (tenant, actor, action, target, detail) VALUES ('default', 'a', 'b', 'c', '{}')",
    "a temporary table": "CREATE TEMP TABLE passing (n serial PRIMARY KEY)",
}
CHANGED = {
    "a table": "CREATE TABLE theirs (n integer)",
    "a table elsewhere": "CREATE SCHEMA elsewhere CREATE TABLE theirs (n integer)",
    "a column": "ALTER TABLE tenants ADD COLUMN n integer",
    "no trigger": "ALTER TABLE tasks DISABLE TRIGGER USER",
    "no demand": "ALTER TABLE tasks ALTER state DROP NOT NULL",
    "another function": "CREATE OR REPLACE FUNCTION refuse_to_change_the_past() RETURNS trigger"
    " LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
    "no wall": "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
    "a hole in the wall": "CREATE POLICY hole ON tasks USING (true)",
    "a right": "GRANT DELETE ON audit_log TO taskyard_tenant",
    "no index": "DROP INDEX tasks_queued",
    "a setting": "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = 64',"
    " current_database()); END $$",
    "a large object": "SELECT lo_from_bytea(0, 'left')",
    "a rule that brings rows back": "INSERT INTO tenants (name) VALUES ('left');"
    " CREATE RULE kept AS ON DELETE TO tenants DO INSTEAD NOTHING;"
    " ALTER TABLE tenants ENABLE ALWAYS RULE kept",
}


@pytest.fixture(scope="module")
def server(server_url: str) -> Iterator[psycopg.Connection]:
    """A connection to another database of the server."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def slate(server: psycopg.Connection, template: str, server_url: str) -> Iterator[Slate]:
    """One that these tests alone make dirty."""
    slate = Slate(server, template, server_url)
    yield slate
    slate.drop()


LOOKS = (
    "SELECT oid, relname, relacl, relrowsecurity, reltuples, relpages FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    "SELECT * FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT attrelid, attname, atttypid, attnotnull FROM pg_attribute WHERE attrelid >= 16384",
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint",
    "SELECT tgenabled, pg_get_triggerdef(oid) FROM pg_trigger",
    "SELECT proname, prosrc FROM pg_proc WHERE oid >= 16384",
    "SELECT * FROM pg_policies",
    "SELECT * FROM pg_rules WHERE schemaname <> 'pg_catalog'",
    "SELECT * FROM pg_sequences",
    "SELECT * FROM pg_stats WHERE schemaname = 'public'",
    "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'",
    "SELECT count(*) FROM pg_largeobject_metadata",
    "SELECT current_setting('work_mem')",
)


def contents(url: str) -> list[list[str]]:
    """Return what a test may find: definitions, rights, settings, rows, estimates."""
    with psycopg.connect(url) as connection:
        tables = [
            row[0]
            for row in connection.execute(
                "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND oid >= 16384"
            )
        ]
        looks = [*LOOKS, *(f"SELECT '{table}', * FROM {table}" for table in tables)]
        queries = [f"SELECT found::text FROM ({look}) AS found" for look in looks]
        return [sorted(map(str, connection.execute(query.encode()))) for query in queries]


def leave(url: str, statements: str) -> None:
    """Do in a database what a test might."""
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute(statements.encode())


def identity(url: str) -> int:
    """Return which database it is, whatever its name."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT oid FROM pg_database WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize("statements", LEFT.values(), ids=LEFT)
def test_what_a_test_leaves_is_gone(slate: Slate, statements: str) -> None:
    """Rows, positions and estimates are what they were, in the same database."""
    # Given
    before, same = contents(slate.url), identity(slate.url)
    leave(slate.url, statements)
    # When
    slate.wipe()
    # Then
    assert contents(slate.url) == before
    assert identity(slate.url) == same


@pytest.mark.parametrize("statements", CHANGED.values(), ids=CHANGED)
def test_a_database_that_was_altered_is_replaced(slate: Slate, statements: str) -> None:
    """The next test has a new clone of the template."""
    # Given
    before, other = contents(slate.url), identity(slate.url)
    leave(slate.url, statements)
    assert contents(slate.url) != before
    # When
    slate.wipe()
    # Then
    assert contents(slate.url) == before
    assert identity(slate.url) != other


def test_whoever_is_still_there_is_ended_and_does_not_come_back(slate: Slate) -> None:
    """An open transaction with its locks is gone, and its URL leads nowhere."""
    # Given
    url, before = slate.url, contents(slate.url)
    with closing(psycopg.connect(url)) as straggler:
        straggler.execute("LOCK TABLE tasks")
        straggler.execute("INSERT INTO tenants (name) VALUES ('left')")
        # When
        slate.wipe()
        # Then
        with pytest.raises(psycopg.OperationalError):
            straggler.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(url)
    assert contents(slate.url) == before


def test_a_database_that_was_dropped_is_replaced(slate: Slate, server: psycopg.Connection) -> None:
    """Whatever happened to it, the next test has one."""
    before = contents(slate.url)
    server.execute(f'DROP DATABASE "{slate.url.rsplit("/", 1)[1]}"'.encode())
    slate.wipe()
    assert contents(slate.url) == before
