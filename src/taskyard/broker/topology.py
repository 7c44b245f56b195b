"""What should be in the broker: exchanges, queues and bindings, and what to call a difference.

Pure. The one who asks the broker and changes it is declare.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote, urlsplit

from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.routing import Pool, QueueType, RoutingTable

MOST_URGENT = 9
_VERSIONED = re.compile(r"(.+)\.v(\d+)", re.ASCII)  # no pool's name holds a dot
_STRICT_QUORUM = (4, 3)  # from here on quorum queues have strict priorities (measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """An exchange; all are durable."""

    name: str
    type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A queue; all are durable."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    pool: str | None = None
    strict: bool = False  # delivers what is more urgent first, always

    @property
    def summary(self) -> str:
        """What kind of queue it is, for people."""
        kind = str(self.arguments.get("x-queue-type", "classic"))
        return f"{kind}, priorities 0-{MOST_URGENT}" if self.strict else kind


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Binding:
    """A binding of a queue to an exchange."""

    queue: str
    exchange: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """All that should be in the broker."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: frozenset[Binding]
    warnings: tuple[str, ...] = ()


class Change(StrEnum):
    """What a step does."""

    CREATE = "+"
    REMOVE = "-"
    DRAIN = "~"  # replaced, but it holds messages: to be removed once workers have emptied it
    CONFLICT = "!"  # reported and left alone
    NOTE = "·"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One difference between the broker and the routing table."""

    change: Change
    what: str

    def __str__(self) -> str:
        return f"{self.change} {self.what}"


def ingest_queue(prefix: str) -> str:
    """Return the name of the queue that events from outside wait in."""
    return f"{prefix}.ingest"


def desired(
    table: RoutingTable,
    *,
    prefix: str,
    version: tuple[int, ...],
    queues: Mapping[str, str] = MappingProxyType({}),
) -> Topology:
    """Return what should be in a broker of this version for a routing table.

    `queues` names the queue of each pool whose first queue was replaced.
    """
    names = {pool: queues.get(pool) or queue_name(prefix, pool) for pool in table.pools}
    tasks, dead = exchange_name(prefix), f"{prefix}.dead"
    events, ingest, lifecycle = f"{prefix}.events", ingest_queue(prefix), f"{prefix}.lifecycle"
    pools = tuple(
        Queue(name=names[pool.name], pool=pool.name, **_kind(pool, dead=dead, version=version))
        for pool in table.pools.values()
    )
    bindings = {
        Binding(queue=names[pool.name], exchange=tasks, pattern=pattern)
        for pool in table.pools.values()
        for pattern in pool.tasks
    }
    return Topology(
        exchanges=(
            Exchange(name=tasks, type="topic"),
            Exchange(name=dead, type="fanout"),
            Exchange(name=events, type="topic"),
            Exchange(name=lifecycle, type="topic"),
        ),
        queues=(*pools, Queue(name=dead), Queue(name=ingest)),
        bindings=frozenset(
            bindings
            | {
                Binding(queue=dead, exchange=dead, pattern=""),
                Binding(queue=ingest, exchange=events, pattern="#"),
            }
        ),
        warnings=tuple(
            f"pool {pool.name!r} asks for a quorum queue, which has no strict priorities on "
            f"RabbitMQ {_shown(version)}; use auto or classic"
            for pool in table.pools.values()
            if pool.queue_type is QueueType.QUORUM and version < _STRICT_QUORUM
        ),
    )


def _kind(pool: Pool, *, dead: str, version: tuple[int, ...]) -> dict[str, Any]:
    """Return which arguments a pool's queue has, and whether it delivers by priority."""
    kind = pool.queue_type
    if kind is QueueType.AUTO:
        kind = QueueType.QUORUM if version >= _STRICT_QUORUM else QueueType.CLASSIC
    arguments: dict[str, Any] = {"x-dead-letter-exchange": dead}
    if kind is QueueType.QUORUM:
        # x-max-priority is refused there (406): 4.3 has ten priorities always, before it had none.
        arguments["x-queue-type"] = "quorum"
    else:
        arguments["x-max-priority"] = MOST_URGENT
    return {
        "arguments": arguments,
        "strict": kind is QueueType.CLASSIC or version >= _STRICT_QUORUM,
    }


def queue_version(name: str) -> int:
    """Return the number of a pool's queue: `….v2` is 2, the first has none."""
    found = _VERSIONED.fullmatch(name)
    return int(found[2]) if found else 1


def next_queue(name: str) -> str:
    """Return the name of the queue that replaces this one."""
    found = _VERSIONED.fullmatch(name)
    return f"{found[1] if found else name}.v{queue_version(name) + 1}"


def virtual_host(url: str) -> str:
    """Return the virtual host an AMQP URL names; / when it names none."""
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"


def broker_name(url: str, prefix: str) -> str:
    """Name a broker's part that is ours: hosts change, the virtual host and prefix stay."""
    return f"{virtual_host(url)}:{prefix}"


def _shown(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers a version begins with: "4.3.0-rc.1" is (4, 3, 0)."""
    found = re.match(r"\d+(\.\d+)*", text, re.ASCII)
    return tuple(map(int, found[0].split("."))) if found else ()
