"""Numbered migrations, forward only, each in one transaction."""

from importlib.resources import files

from psycopg.errors import UndefinedTable

from taskyard.core.errors import SchemaOutdated
from taskyard.storage.pool import AsyncConnection

_LOCK = 0x7A5C_0001  # any number that nobody else in this database takes
_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)"""


def migrations() -> dict[int, tuple[str, str]]:
    """Return name and text of every migration by its number, in order."""
    folder = files("taskyard.storage").joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return {int(name[:4]): (name, folder.joinpath(name).read_text()) for name in names}


async def migrate(connection: AsyncConnection) -> list[str]:
    """Apply what is missing, under an advisory lock; return the names of what was applied.

    A statement that waits longer than ten seconds for a table lock fails instead of holding up
    the traffic behind it; nothing is changed then, and the migration can be run again.
    """
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = 0")
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        await connection.execute("SET LOCAL lock_timeout = '10s'")
        await connection.execute("SET LOCAL statement_timeout = 0")
        await connection.execute(_LEDGER)
        applied = await _applied(connection)
        missing = {n: entry for n, entry in migrations().items() if n not in applied}
        for number, (name, text) in missing.items():
            await connection.execute(text.encode())
            await connection.execute(
                "INSERT INTO schema_migrations (version, name) VALUES (%s, %s)", (number, name)
            )
        return [name for name, _ in missing.values()]


async def differences(connection: AsyncConnection) -> tuple[list[str], list[int]]:
    """Return which migrations were not applied, and which were that we do not know."""
    try:
        applied = await _applied(connection)
    except UndefinedTable:
        applied = set()
    known = migrations()
    missing = [name for number, (name, _) in known.items() if number not in applied]
    return missing, sorted(applied - known.keys())


async def require_current(connection: AsyncConnection) -> None:
    """Raise SchemaOutdated unless every migration of this version was applied."""
    missing, _ = await differences(connection)
    if missing:
        raise SchemaOutdated(
            f"the database lacks {', '.join(missing)}; run `taskyard migrate` once"
        )


async def _applied(connection: AsyncConnection) -> set[int]:
    cursor = await connection.execute("SELECT version FROM schema_migrations")
    return {row[0] for row in await cursor.fetchall()}
