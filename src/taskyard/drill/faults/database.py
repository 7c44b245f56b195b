"""Faults of Postgres."""

import asyncio
import contextlib
import os
import random
import signal

import psycopg

from taskyard.drill.arena import Arena
from taskyard.drill.faults.fault import Fault

_RESTART_AFTER = 2.0
_LOCKED_FOR = 10.0
_EXHAUSTED_FOR = 5.0


async def _crash(arena: Arena, _: random.Random) -> str:
    await asyncio.to_thread(arena.postgres.crash)
    return "Postgres, as a power cut would"


async def _start(arena: Arena) -> None:
    arena.postgres = arena.postgres.again()
    await asyncio.to_thread(arena.postgres.wait_ready)


async def _crash_and_kill(arena: Arena, chance: random.Random) -> str:
    """Kill every worker while it holds wake-ups that it cannot claim."""
    crashed = await _crash(arena, chance)
    await asyncio.sleep(_RESTART_AFTER)  # wake-ups reach the workers meanwhile
    workers = arena.roles("worker")
    for worker in workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
    return f"{crashed}, then {len(workers)} workers"


async def _end_sessions(arena: Arena, _: random.Random) -> str:
    async with await arena.connect() as connection:
        cursor = await connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name LIKE 'taskyard %' AND pid <> pg_backend_pid()"
        )
        row = await cursor.fetchone()
    return f"{row[0] if row else 0} sessions of Postgres"


async def _exhaust(arena: Arena, _: random.Random) -> str:
    """Take every connection there is, and end the others' so that they need new ones."""
    taken: list[psycopg.AsyncConnection] = []
    try:
        while True:
            connecting = psycopg.AsyncConnection.connect(
                arena.database_url, application_name="drill takes all", autocommit=True
            )
            taken.append(await connecting)
    except psycopg.OperationalError:
        await taken[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'taskyard %'"
        )
    await asyncio.sleep(_EXHAUSTED_FOR)  # that is the fault
    for each in taken:
        await each.close()
    return f"all {len(taken)} connections that were left"


async def _lock(arena: Arena, _: random.Random) -> str:
    async with await arena.connect() as connection, connection.transaction():
        await connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
        await asyncio.sleep(_LOCKED_FOR)  # that is the fault
    return f"the table of tasks, locked for {_LOCKED_FOR:g} s"


FAULTS = (
    Fault(name="crash-postgres", strike=_crash, heal=_start, lasts=_RESTART_AFTER),
    Fault(name="crash-postgres-kill-workers", strike=_crash_and_kill, heal=_start),
    Fault(name="end-sessions", strike=_end_sessions),
    Fault(name="exhaust-connections", strike=_exhaust, lasts=_EXHAUSTED_FOR),
    Fault(name="lock-table", strike=_lock, lasts=_LOCKED_FOR),
)
