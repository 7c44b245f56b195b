"""What should be in the broker: exchanges, queues and bindings, and what to call a difference.

Pure. The one who asks the broker and changes it is declare.py.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core.routing import Pool, QueueType, RoutingTable

MOST_URGENT = 9
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was applied before: AMQP cannot list bindings, so they are remembered."""

    queues: frozenset[str] = frozenset()
    bindings: frozenset[Binding] = frozenset()


class Change(StrEnum):
    """What a step does."""

    CREATE = "+"
    REMOVE = "-"
    CONFLICT = "!"  # reported and left alone
    NOTE = "·"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One difference between the broker and the routing table."""

    change: Change
    what: str

    def __str__(self) -> str:
        return f"{self.change} {self.what}"


def desired(table: RoutingTable, *, prefix: str, version: tuple[int, ...]) -> Topology:
    """Return what should be in a broker of this version for a routing table."""
    tasks, dead = exchange_name(prefix), f"{prefix}.dead"
    events, ingest, lifecycle = f"{prefix}.events", f"{prefix}.ingest", f"{prefix}.lifecycle"
    pools = tuple(
        _pool_queue(pool, prefix=prefix, version=version) for pool in table.pools.values()
    )
    bindings = {
        Binding(queue=queue_name(prefix, pool.name), exchange=tasks, pattern=pattern)
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


def _pool_queue(pool: Pool, *, prefix: str, version: tuple[int, ...]) -> Queue:
    kind = pool.queue_type
    if kind is QueueType.AUTO:
        kind = QueueType.QUORUM if version >= _STRICT_QUORUM else QueueType.CLASSIC
    arguments: dict[str, Any] = {"x-dead-letter-exchange": f"{prefix}.dead"}
    if kind is QueueType.QUORUM:
        # x-max-priority is refused there (406): 4.3 has ten priorities always, before it had none.
        arguments["x-queue-type"] = "quorum"
    else:
        arguments["x-max-priority"] = MOST_URGENT
    return Queue(
        name=queue_name(prefix, pool.name),
        arguments=arguments,
        pool=pool.name,
        strict=kind is QueueType.CLASSIC or version >= _STRICT_QUORUM,
    )


def _shown(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def parse_version(text: str) -> tuple[int, ...]:
    """Return the numbers a version begins with: "4.3.0-rc.1" is (4, 3, 0)."""
    found = re.match(r"\d+(\.\d+)*", text, re.ASCII)
    return tuple(map(int, found[0].split("."))) if found else ()
