"""Faults of RabbitMQ, and of the operators who have access to it."""

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import amqp

from taskyard.broker import wakeup
from taskyard.core.task import TaskId
from taskyard.core.wakeup import WakeUp
from taskyard.drill import evidence
from taskyard.drill.arena import VHOST, Arena
from taskyard.drill.faults.fault import Fault, Heal, Strike

_AWAY_FOR = 3.0
_ALARM_FOR = 6.0
_TIMES = 5


async def _stop(arena: Arena, _: random.Random) -> str:
    await asyncio.to_thread(arena.rabbitmq.stop_node)
    return "the node, in good order"


async def _kill(arena: Arena, _: random.Random) -> str:
    arena.rabbitmq.node.kill()
    await asyncio.to_thread(arena.rabbitmq.stop_node)
    return "the node, at once"


async def _start(arena: Arena) -> None:
    arena.rabbitmq = arena.rabbitmq.again()
    await asyncio.to_thread(arena.rabbitmq.wait_ready, VHOST)


def _alarm(raised: tuple[str, ...], cleared: tuple[str, ...]) -> tuple[Strike, Heal]:
    async def strike(arena: Arena, _: random.Random) -> str:
        await asyncio.to_thread(arena.rabbitmq.control, *raised)
        return f"every publisher, with {raised[0]}"

    async def heal(arena: Arena) -> None:
        await asyncio.to_thread(arena.rabbitmq.control, *cleared)

    return strike, heal


def _on_a_queue(act: Callable[[Any, str], Any], what: str) -> Strike:
    async def strike(arena: Arena, chance: random.Random) -> str:
        pool = chance.choice(sorted(arena.table.pools))
        queue = wakeup.queue_name(arena.prefix, pool)

        def strike_it() -> None:
            with _channel(arena) as channel:
                act(channel, queue)

        try:
            await asyncio.to_thread(strike_it)
        except amqp.NotFound:  # another fault has deleted it just now
            return f"no queue {queue} was there"
        return f"the queue {queue}, {what}"

    return strike


async def _wake_again(arena: Arena, _: random.Random) -> str:
    """Publish every wake-up there may be five times more."""
    async with await arena.connect() as connection:
        rows = await evidence.list_unended(connection)
    wakeups = [
        WakeUp(id=TaskId(row["id"]), type=row["type"], priority=row["priority"]) for row in rows
    ]
    await asyncio.to_thread(_publish, arena, wakeups * _TIMES)
    return f"{len(wakeups)} tasks, woken {_TIMES} times more"


def _publish(arena: Arena, wakeups: list[WakeUp]) -> None:
    with _channel(arena) as channel:
        for each in wakeups:
            sealed = wakeup.envelope(each)
            message = amqp.Message(
                wakeup.BODY,
                application_headers=dict(sealed.headers),
                content_type=wakeup.CONTENT_TYPE,
                content_encoding=wakeup.CONTENT_ENCODING,
                correlation_id=sealed.correlation_id,
                priority=sealed.priority,
                delivery_mode=2,
            )
            channel.basic_publish(
                message, wakeup.exchange_name(arena.prefix), routing_key=sealed.routing_key
            )


@contextmanager
def _channel(arena: Arena) -> Iterator[Any]:
    """A channel of our own, past the proxy."""
    server = arena.rabbitmq
    with amqp.Connection(
        f"127.0.0.1:{server.port}",
        userid=server.user,
        password=server.password,
        virtual_host=VHOST,
        connect_timeout=10,
        read_timeout=10,
        write_timeout=10,
    ) as connection:
        yield connection.channel()


_memory = _alarm(("set_vm_memory_high_watermark", "0"), ("set_vm_memory_high_watermark", "0.4"))
_disk = _alarm(("set_disk_free_limit", "1000GB"), ("set_disk_free_limit", "50MB"))

FAULTS = (
    Fault(name="stop-rabbitmq", strike=_stop, heal=_start, lasts=_AWAY_FOR),
    Fault(name="kill-rabbitmq", strike=_kill, heal=_start, lasts=_AWAY_FOR),
    Fault(name="memory-alarm", strike=_memory[0], heal=_memory[1], lasts=_ALARM_FOR),
    Fault(name="disk-alarm", strike=_disk[0], heal=_disk[1], lasts=_ALARM_FOR),
    Fault(name="purge-queue", strike=_on_a_queue(lambda c, q: c.queue_purge(q), "purged")),
    Fault(name="delete-queue", strike=_on_a_queue(lambda c, q: c.queue_delete(q), "deleted")),
    Fault(name="wake-again", strike=_wake_again),
)
