"""Faults of the network: what the proxies do."""

import asyncio
import contextlib
import random
from collections.abc import Callable

from taskyard.drill.arena import Arena
from taskyard.drill.faults.fault import Fault, Heal, Strike
from taskyard.drill.proxy import Mode, Proxy

Choose = Callable[[Arena], Proxy]

_SWALLOWS_WITHIN = 4.0
_DEAF_FOR = 12.0  # longer than a confirm is waited for


def _to_postgres(arena: Arena) -> Proxy:
    return arena.to_postgres


def _to_rabbitmq(arena: Arena) -> Proxy:
    return arena.to_rabbitmq


def _to_api(arena: Arena) -> Proxy:
    return arena.to_api


def _cut(choose: Choose) -> Strike:
    async def strike(arena: Arena, _: random.Random) -> str:
        return f"{choose(arena).cut()} connections"

    return strike


def _deafen(choose: Choose) -> tuple[Strike, Heal]:
    async def strike(arena: Arena, _: random.Random) -> str:
        choose(arena).set(Mode.DEAF)
        return f"what goes through port {choose(arena).port}"

    async def heal(arena: Arena) -> None:
        choose(arena).set(Mode.PASS)

    return strike, heal


def _refuse(choose: Choose) -> tuple[Strike, Heal]:
    """Every connection is cut, and new ones are closed at once."""

    async def strike(arena: Arena, _: random.Random) -> str:
        choose(arena).set(Mode.REFUSE)
        return f"{choose(arena).cut()} connections, and every new one"

    async def heal(arena: Arena) -> None:
        choose(arena).set(Mode.PASS)

    return strike, heal


def _swallow_all(choose: Choose) -> tuple[Strike, Heal]:
    """Nothing comes through, and what was sent meanwhile never does: the cable was pulled."""
    strike, hear = _deafen(choose)

    async def heal(arena: Arena) -> None:
        choose(arena).cut()
        await hear(arena)

    return strike, heal


def _slow(choose: Choose, seconds: float) -> tuple[Strike, Heal]:
    async def strike(arena: Arena, _: random.Random) -> str:
        choose(arena).delay = seconds
        return f"each piece by {seconds:g} s"

    async def heal(arena: Arena) -> None:
        choose(arena).delay = 0.0

    return strike, heal


def _swallow(choose: Choose, *words: str, times: int = 3) -> Strike:
    """Forward requests that hold all these words, and let nobody hear of their success."""

    async def strike(arena: Arena, _: random.Random) -> str:
        proxy = choose(arena)
        before = proxy.swallowed
        proxy.swallow(lambda said: all(word in said for word in words), times=times)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(proxy.done_swallowing.wait(), _SWALLOWS_WITHIN)
        proxy.swallow(None)
        return f"{proxy.swallowed - before} replies to {' … '.join(words)!r}"

    return strike


def _two_sided(name: str, sides: tuple[Strike, Heal], lasts: float) -> Fault:
    return Fault(name=name, strike=sides[0], heal=sides[1], lasts=lasts)


FAULTS = (
    Fault(name="cut-postgres", strike=_cut(_to_postgres)),
    Fault(name="cut-rabbitmq", strike=_cut(_to_rabbitmq)),
    Fault(name="cut-clients", strike=_cut(_to_api)),
    _two_sided("slow-postgres", _slow(_to_postgres, 0.1), 4.0),
    _two_sided("deaf-rabbitmq", _deafen(_to_rabbitmq), _DEAF_FOR),
    _two_sided("deaf-postgres", _deafen(_to_postgres), 4.0),
    _two_sided("refuse-postgres", _refuse(_to_postgres), 4.0),
    _two_sided("refuse-rabbitmq", _refuse(_to_rabbitmq), 4.0),
    _two_sided("unplug-rabbitmq", _swallow_all(_to_rabbitmq), 4.0),
    _two_sided("unplug-postgres", _swallow_all(_to_postgres), 4.0),
    Fault(name="swallow-reply", strike=_swallow(_to_api, "POST /v1/tasks")),
    Fault(name="swallow-insert", strike=_swallow(_to_postgres, "INSERT INTO tasks")),
    Fault(name="swallow-claim", strike=_swallow(_to_postgres, "state = 'running', attempt")),
    Fault(name="swallow-finish", strike=_swallow(_to_postgres, "state = 'succeeded'")),
    Fault(name="swallow-commit", strike=_swallow(_to_postgres, "COMMIT")),
    Fault(name="swallow-mark", strike=_swallow(_to_postgres, "state = 'queued'")),
    Fault(name="swallow-confirm", strike=_swallow(_to_rabbitmq, "basic.publish")),
    Fault(name="swallow-ack", strike=_swallow(_to_rabbitmq, "basic.ack")),
)
