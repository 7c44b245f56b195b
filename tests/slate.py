"""A database that is wiped between tests, at half the CPU that a clone of the template takes.

Nobody has to believe the wiping: what is there afterwards is compared with what was there in the
beginning, catalogs, rows, sequences and the planner's statistics. A database that differs in
anything is dropped and cloned anew.
"""

import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.sql import SQL, Composed, Identifier, Literal

Connection = psycopg.Connection[Any]

_ENDED_WITHIN = 10.0

# The planner takes a table that was never vacuumed for ten pages when it has fewer, so up to here
# what is dead changes no plan.
_PAGES = 10

_TABLES = """
SELECT oid::regclass::text, pg_relation_size(oid) / current_setting('block_size')::integer,
    reltuples >= 0 OR oid IN (SELECT starelid FROM pg_statistic)
FROM pg_class WHERE relkind = 'r' AND oid >= 16384 AND relpersistence <> 't' ORDER BY oid"""

# What is made or removed shows in pg_depend, what is altered in the others: a row that is written
# has a younger xmin than any, so their sum tells.
_CATALOGS = (
    *("pg_attrdef", "pg_attribute", "pg_constraint", "pg_default_acl", "pg_depend", "pg_enum"),
    *("pg_event_trigger", "pg_extension", "pg_index", "pg_largeobject_metadata", "pg_policy"),
    *("pg_proc", "pg_publication", "pg_range", "pg_rewrite", "pg_sequence", "pg_statistic_ext"),
    *("pg_trigger", "pg_type"),
)
_CATALOG = "SELECT {name}, count(*)::text, sum(xmin::text::bigint)::text FROM {catalog}"

_TABLE = """
SELECT {name}, count(*)::text, sum(hashtextextended(t::text, 0))::text FROM {table} AS t
HAVING count(*) > 0"""

# Of relations all but what TRUNCATE and VACUUM write; of schemas all but those that temporary
# tables leave behind.
_REST = """
SELECT 'relation', oid::text, ROW(relname, relnamespace, relowner, relacl, relkind, relam,
    relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions, relnatts,
    relchecks, relhasrules, relhastriggers, relispartition, relpartbound)::text FROM pg_class
    WHERE oid >= 16384 AND relpersistence <> 't'
UNION ALL
SELECT 'schema', oid::text, n::text FROM pg_namespace AS n
    WHERE nspname !~ '^pg_(toast_)?temp_'
UNION ALL
SELECT 'setting', setrole::text, setconfig::text FROM pg_db_role_setting
    WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
UNION ALL
SELECT 'database', datconnlimit::text, concat(datdba, datallowconn, datacl) FROM pg_database
    WHERE datname = current_database()
UNION ALL
SELECT 'sequence', oid::text, pg_sequence_last_value(oid)::text FROM pg_class
    WHERE relkind = 'S' AND relpersistence <> 't'
UNION ALL
SELECT 'statistics', starelid::text, staattnum::text FROM pg_statistic WHERE starelid >= 16384"""

_UNCHECKED = "SET session_replication_role = replica"  # no triggers, no foreign keys
_EMPTY = "TRUNCATE {} CASCADE"
_ESTIMATE_NOTHING = "DELETE FROM pg_statistic WHERE starelid >= 16384"
_TAKE_OUT = "DELETE FROM {table} AS t WHERE t::text <> ALL ({seed}::text[])"
_PUT_BACK = """
INSERT INTO {table} SELECT (row::{table}).* FROM unnest({seed}::text[]) AS row
WHERE row NOT IN (SELECT t::text FROM {table} AS t)"""
_BEGIN_ANEW = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence
WHERE pg_sequence_last_value(seqrelid) IS NOT NULL"""


class Slate:
    """One database, under another name after every wiping."""

    def __init__(self, server: Connection, template: str, url: str) -> None:
        """Clone the template; `server` commits by itself, `url` names any database of it."""
        self._server, self._template, self._url = server, template, url
        self._clone()
        with psycopg.connect(self.url) as connection:
            self._wanted = _look(connection)
            filled = (table for table, pages, _ in connection.execute(_TABLES) if pages)
            self._seeds = {table: _rows(connection, table) for table in filled}

    @property
    def url(self) -> str:
        """Where the database is until it is wiped; nowhere afterwards."""
        return f"{self._url.rsplit('/', 1)[0]}/{self._name}"

    def wipe(self) -> None:
        """End every session of the database and make it again what the template is."""
        with suppress(psycopg.Error):  # it is replaced then, whatever it was
            self._rename()
            with psycopg.connect(self.url, autocommit=True) as connection:
                _clean(connection, self._seeds)
                if _look(connection) == self._wanted:
                    return
        self.drop()
        self._clone()

    def drop(self) -> None:
        """Remove the database."""
        statement = SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        self._server.execute(statement.format(Identifier(self._name)))

    def _clone(self) -> None:
        self._name = f"test_{uuid4().hex[:12]}"
        statement = SQL("CREATE DATABASE {} TEMPLATE {}")
        names = Identifier(self._name), Identifier(self._template)
        self._server.execute(statement.format(*names))

    def _rename(self) -> None:
        """Whoever has the old name, and comes back, finds nothing."""
        self._end_sessions()
        new = f"test_{uuid4().hex[:12]}"
        statement = SQL("ALTER DATABASE {} RENAME TO {}")
        self._server.execute(statement.format(Identifier(self._name), Identifier(new)))
        self._name = new

    def _end_sessions(self) -> None:
        # Not left to RENAME, which looks but ten times a second, and ends nobody.
        statement = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        deadline = time.monotonic() + _ENDED_WITHIN
        while self._server.execute(statement, (self._name,)).fetchall():
            if time.monotonic() > deadline:
                return
            time.sleep(0.001)


def _look(connection: Connection) -> list[tuple[str, ...]]:
    """Return rows that differ when anything does; a table without a page has no row to look at."""
    filled = [table for table, pages, _ in connection.execute(_TABLES) if pages]
    parts: list[Composed | SQL] = [SQL(_REST)]
    parts += [SQL(_TABLE).format(name=Literal(t), table=SQL(t)) for t in filled]
    parts += [SQL(_CATALOG).format(name=Literal(c), catalog=Identifier(c)) for c in _CATALOGS]
    return sorted(connection.execute(SQL(" UNION ALL ").join(parts)).fetchall(), key=str)


def _rows(connection: Connection, table: str) -> list[str]:
    query = SQL("SELECT t::text FROM {} AS t").format(SQL(table))
    return [row[0] for row in connection.execute(query).fetchall()]


def _clean(connection: Connection, seeds: dict[str, list[str]]) -> None:
    """Delete what was not there in the beginning, put back what was, begin sequences anew."""
    touched = [row for row in connection.execute(_TABLES) if row[1] or row[2]]
    worn = [table for table, pages, analyzed in touched if pages > _PAGES or analyzed]
    statements: list[Composed | SQL] = [SQL(_UNCHECKED)]
    if worn:
        statements += [SQL(_EMPTY).format(SQL(", ").join(map(SQL, worn))), SQL(_ESTIMATE_NOTHING)]
    for table in (table for table, *_ in touched if table not in worn):
        seed = Literal(seeds.get(table, []))
        statements.append(SQL(_TAKE_OUT).format(table=SQL(table), seed=seed))
    statements += [
        SQL(_PUT_BACK).format(table=SQL(table), seed=Literal(rows)) for table, rows in seeds.items()
    ]
    connection.execute(SQL(";").join([*statements, SQL(_BEGIN_ANEW)]))  # one round trip
