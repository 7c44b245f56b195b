"""One drill: submit while faults strike, wait until all is quiet, judge what is left."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from taskyard.core.routing import RoutingTable
from taskyard.dev.up import PROGRAM
from taskyard.drill import evidence, ledger
from taskyard.drill.arena import VHOST, Arena, open_arena
from taskyard.drill.checks import check
from taskyard.drill.faults.fault import Fault
from taskyard.drill.generator import Generator, open_generator
from taskyard.drill.history import History, QueueRest, Rest, Struck, Violation
from taskyard.drill.mix import Mix
from taskyard.storage.pool import AsyncConnection

Say = Callable[[str], None]

_UNDER_WAY = 0.25  # the part of a slice that is answered before its fault strikes
_UNDER_WAY_WITHIN = 5.0
_MOST_WAITING = 100  # tasks when the next slice begins
_ROOM_WITHIN = 60.0
_LOOK_EVERY = 0.1
_CALM_BEFORE_REST = 3  # looks in a row that find nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What one drill does. The seed decides what is submitted and whom the faults hit."""

    seed: int
    tasks: int
    faults: Sequence[Fault]
    mix: Mix
    table: RoutingTable
    quiet_within: float = 60.0  # seconds after the last heal and the last answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Drilled:
    """What one drill has shown."""

    plan: Plan
    history: History
    struck: tuple[Struck, ...]
    violations: tuple[Violation, ...]
    quiet_after: float | None  # seconds after the last heal and answer; None: never at rest
    took: float


async def drill(
    plan: Plan,
    folder: Path,
    *,
    environment: Mapping[str, str],
    program: Sequence[str] = PROGRAM,
    say: Say,
) -> Drilled:
    """Do a drill on servers of its own, whose data are in `folder`.

    Raises ChildProcessError and TimeoutError when the stack or a server does not start.
    """
    began = time.monotonic()
    say(f"seed {plan.seed}: starting servers and stack …")
    async with open_arena(
        folder, table=plan.table, environment=environment, program=program
    ) as arena:
        async with open_generator(
            arena.api_url, key=arena.api_key, mix=plan.mix, seed=plan.seed
        ) as client:
            struck = await _strike_all(arena, client, plan, say)
        say(f"seed {plan.seed}: {plan.tasks} submitted, waiting until all is quiet …")
        quiet_after = await _quiet(arena, plan.quiet_within, since=time.monotonic())
        queues = await asyncio.to_thread(
            evidence.read_queues, arena.rabbitmq, VHOST, beginning=f"{arena.prefix}.pool."
        )
        await arena.stop()
        history = await _collect(arena, plan, client, queues)
    return Drilled(
        plan=plan,
        history=history,
        struck=tuple(struck),
        violations=tuple(check(history)),
        quiet_after=quiet_after,
        took=time.monotonic() - began,
    )


async def _strike_all(arena: Arena, client: Generator, plan: Plan, say: Say) -> list[Struck]:
    """Submit in slices; in the middle of each a fault strikes, and is healed."""
    chance = random.Random(plan.seed)  # noqa: S311 - a drill is repeatable
    struck = []
    slices = _slices(plan.tasks, len(plan.faults) + 1)
    await client.submit(slices[0])
    for number, (fault, count) in enumerate(zip(plan.faults, slices[1:], strict=True), 1):
        await _until_unended(arena, _MOST_WAITING, within=_ROOM_WITHIN)
        submitting = asyncio.create_task(client.submit(count))
        try:
            await _answered(client, count * _UNDER_WAY, submitting)
            struck.append(await _strike(arena, fault, chance))
            say(f"seed {plan.seed}: {number}/{len(plan.faults)} {fault.name}: {struck[-1].hit}")
            await submitting
        finally:
            submitting.cancel()
            await asyncio.gather(submitting, return_exceptions=True)
    return struck


async def _until_unended(arena: Arena, most: int, *, within: float) -> None:
    """Wait until few tasks are left: what is measured is recovery, not how long a queue can be."""
    deadline = time.monotonic() + within
    async with await arena.connect() as connection:
        while True:
            if await evidence.count_unended(connection) <= most or time.monotonic() > deadline:
                return
            await asyncio.sleep(_LOOK_EVERY)


async def _strike(arena: Arena, fault: Fault, chance: random.Random) -> Struck:
    struck_at = time.monotonic()
    try:
        hit = await fault.strike(arena, chance)
        await asyncio.sleep(max(0.0, fault.lasts - (time.monotonic() - struck_at)))
    except Exception as error:
        raise ChildProcessError(f"the fault {fault.name} could not strike: {error!r}") from error
    finally:
        await fault.heal(arena)
    return Struck(name=fault.name, hit=hit, struck_at=struck_at, healed_at=time.monotonic())


async def _answered(client: Generator, more: float, submitting: "asyncio.Task[None]") -> None:
    """Return once so many more answers have come, or nothing more will come, or it takes long."""
    answered = asyncio.create_task(client.reach(client.answered + int(more)))
    either: list[asyncio.Future[None]] = [answered, submitting]
    await asyncio.wait(either, timeout=_UNDER_WAY_WITHIN, return_when=asyncio.FIRST_COMPLETED)
    answered.cancel()


async def _quiet(arena: Arena, within: float, *, since: float) -> float | None:
    """Return after how many seconds every task had ended, or None when some never did."""
    calm = 0
    ended_at = since
    async with await arena.connect() as connection:
        while calm < _CALM_BEFORE_REST:
            if await evidence.count_unended(connection):
                calm, ended_at = 0, time.monotonic()
            else:
                calm += 1
            if time.monotonic() - since > within:
                return None
            await asyncio.sleep(_LOOK_EVERY)
    await _drained(arena)
    return ended_at - since


async def _drained(arena: Arena, within: float = 15.0) -> None:
    """Give surplus wake-ups the time to be taken and dropped."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        queues = await asyncio.to_thread(
            evidence.read_queues, arena.rabbitmq, VHOST, beginning=f"{arena.prefix}.pool."
        )
        if not any(queue.ready or queue.unacked for queue in queues):
            return


async def _collect(
    arena: Arena, plan: Plan, client: Generator, queues: tuple[QueueRest, ...]
) -> History:
    """Read everything once the stack has stopped."""
    async with await arena.connect() as connection:
        return History(
            entries=tuple(client.entries),
            tasks=await evidence.read_tasks(connection, plan.seed),
            events=await evidence.read_events(connection),
            writes=await evidence.read_writes(connection),
            ledger=tuple(ledger.read(arena.ledger)),
            committed=await evidence.read_effects(connection),
            rest=Rest(
                queues=queues,
                database_connections=await _left(connection),
                broker_connections=await asyncio.to_thread(
                    evidence.count_broker_connections, arena.rabbitmq
                ),
            ),
            ends=plan.mix.ends,
            transactional=plan.mix.transactional,
            clock_offset=time.time() - time.monotonic(),
        )


async def _left(connection: AsyncConnection, within: float = 5.0) -> int:
    """Return how many connections of the stack stay; a server sees an end a moment later."""
    deadline = time.monotonic() + within
    while True:
        left = await evidence.count_connections(connection)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(_LOOK_EVERY)


def _slices(count: int, parts: int) -> list[int]:
    """Share a number of tasks among parts, as evenly as it goes."""
    return [count * (n + 1) // parts - count * n // parts for n in range(parts)]
