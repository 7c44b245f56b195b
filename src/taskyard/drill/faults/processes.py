"""Faults of the stack's processes."""

import contextlib
import os
import random
import signal

from taskyard.drill import tree
from taskyard.drill.arena import Arena
from taskyard.drill.faults.fault import Fault, Strike

_LONGER_THAN_A_LEASE = 18.0


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


async def _kill_server(arena: Arena, chance: random.Random) -> str:
    """The process that serves requests: in the middle of what it is doing for many clients."""
    found = [child for api in arena.roles("api") for child in tree.children(api)]
    return _one(found, chance, "the API's serving process")


def _signal_workers(arena: Arena, number: signal.Signals) -> list[int]:
    struck = []
    for worker in arena.roles("worker"):
        for pid in (worker, *tree.below(worker)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
                struck.append(pid)
    return struck


async def _freeze_workers(arena: Arena, _: random.Random) -> str:
    return f"{len(_signal_workers(arena, signal.SIGSTOP))} processes of workers"


async def _thaw_workers(arena: Arena) -> None:
    _signal_workers(arena, signal.SIGCONT)


FAULTS = (
    Fault(name="kill-worker-child", strike=_kill_child),
    Fault(name="kill-worker", strike=_kill_role("worker")),
    Fault(name="kill-api", strike=_kill_role("api")),
    Fault(name="kill-api-server", strike=_kill_server),
    Fault(name="kill-dispatcher", strike=_kill_role("dispatcher")),
    Fault(
        name="freeze-workers",
        strike=_freeze_workers,
        heal=_thaw_workers,
        lasts=_LONGER_THAN_A_LEASE,
    ),
)
