"""Faults of the stack's processes."""

import asyncio
import contextlib
import os
import random
import signal

from taskyard.drill import tree
from taskyard.drill.arena import Arena
from taskyard.drill.faults.fault import Fault, Strike

# Seconds.
_LONGER_THAN_A_LEASE = 18.0
_RUNS_AGAIN_WITHIN = 4.0
_SETTLES_WITHIN = 1.0
_WAITING_FOR = 2.0


def _kill(pid: int, what: str) -> str:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return f"{what}, process {pid}"


def _one(found: list[int], chance: random.Random, what: str) -> str:
    """Kill one of them. None is there while the supervisor waits to start it again."""
    return _kill(chance.choice(found), what) if found else f"no {what} was there"


async def _kill_child(arena: Arena, chance: random.Random) -> str:
    found = [child for worker in arena.roles("worker") for child in tree.children(worker)]
    return _one(found, chance, "a worker's child")


def _kill_role(*words: str) -> Strike:
    async def strike(arena: Arena, chance: random.Random) -> str:
        return _one(arena.roles(*words), chance, " ".join(words))

    return strike


_kill_worker = _kill_role("worker")


async def _kill_server(arena: Arena, chance: random.Random) -> str:
    """The process that serves requests: in the middle of what it is doing for many clients."""
    found = [child for api in arena.roles("api") for child in tree.children(api)]
    return _one(found, chance, "the API's serving process")


def _while_locked(kill: Strike) -> Strike:
    """Kill while everybody waits for the table: in the middle of an INSERT, a claim, a finish."""

    async def strike(arena: Arena, chance: random.Random) -> str:
        async with await arena.connect() as connection, connection.transaction():
            await connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(_WAITING_FOR)  # that is the fault
            return f"{await kill(arena, chance)}, while it waited for the database"

    return strike


def _signal_group(worker: int, number: signal.Signals) -> int:
    struck = 0
    for pid in (worker, *tree.below(worker)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
            struck += 1
    return struck


async def _freeze_workers(arena: Arena, _: random.Random) -> str:
    count = sum(_signal_group(worker, signal.SIGSTOP) for worker in arena.roles("worker"))
    return f"{count} processes of workers"


async def _freeze_one(arena: Arena, chance: random.Random) -> str:
    """Freeze one worker, while another of its pool runs again what it has lost."""
    pool = chance.choice(sorted(arena.table.pools))
    for worker in arena.roles("worker", pool):
        _signal_group(worker, signal.SIGSTOP)
    await arena.start_spare(pool)
    return f"the worker of pool {pool}, with another beside it"


async def _thaw(arena: Arena) -> None:
    for worker in arena.roles("worker"):
        _signal_group(worker, signal.SIGCONT)


async def _thaw_one(arena: Arena) -> None:
    await _thaw(arena)
    await asyncio.sleep(_SETTLES_WITHIN)  # its late results come while the other is still there
    await arena.stop_spares()


FAULTS = (
    Fault(name="kill-worker-child", strike=_kill_child),
    Fault(name="kill-worker", strike=_kill_worker),
    Fault(name="kill-api", strike=_kill_role("api")),
    Fault(name="kill-api-server", strike=_kill_server),
    Fault(name="kill-dispatcher", strike=_kill_role("dispatcher")),
    Fault(name="kill-waiting-api", strike=_while_locked(_kill_server), lasts=_WAITING_FOR),
    Fault(name="kill-waiting-child", strike=_while_locked(_kill_child), lasts=_WAITING_FOR),
    Fault(name="kill-waiting-worker", strike=_while_locked(_kill_worker), lasts=_WAITING_FOR),
    Fault(name="freeze-workers", strike=_freeze_workers, heal=_thaw, lasts=_LONGER_THAN_A_LEASE),
    Fault(
        name="freeze-one-worker",
        strike=_freeze_one,
        heal=_thaw_one,
        lasts=_LONGER_THAN_A_LEASE + _RUNS_AGAIN_WITHIN,
    ),
)
