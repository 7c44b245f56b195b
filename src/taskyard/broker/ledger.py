"""What was applied to a broker, as far as we know: each step is written before it is done.

Pure. An apply may die between any two steps; the next one finds here all that may be in the broker.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from taskyard.broker.topology import Binding, Topology, queue_version
from taskyard.broker.wakeup import queue_name


class Standing(StrEnum):
    """How what is in the ledger stands: the values are what the table holds."""

    INTENDED = "intended"  # to be made; an apply may have died before or after making it
    APPLIED = "applied"  # there, and wanted
    DRAINING = "draining"  # wanted no more; workers consume it until it is empty and removed


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownQueue:
    """A queue that we made or are about to make; `pool` is None when it belongs to no pool."""

    name: str
    pool: str | None
    standing: Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was applied before: AMQP cannot list bindings, so they are remembered.

    What is `intended` may have been made or not.
    """

    queues: Mapping[str, KnownQueue] = field(default_factory=dict)
    bindings: frozenset[Binding] = frozenset()
    intended: frozenset[Binding] = frozenset()

    def current(self, pool: str) -> str | None:
        """Return the queue that a pool's wake-ups go to; None when it has none yet."""
        known = [queue for queue in self.queues.values() if queue.pool == pool]
        applied = [queue for queue in known if queue.standing is Standing.APPLIED]
        newest = max(applied or known, key=lambda queue: queue_version(queue.name), default=None)
        return newest.name if newest else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolQueues:
    """The queues of a pool: wake-ups go to one, others were replaced and are drained."""

    current: str
    draining: tuple[str, ...] = ()


def pool_queues(known: Iterable[tuple[str, str]], *, prefix: str, pool: str) -> PoolQueues:
    """Return a pool's queues from what the ledger holds of each: its name and how it stands."""
    by_age = sorted(known, key=lambda entry: queue_version(entry[0]))
    applied = [name for name, standing in by_age if standing == Standing.APPLIED]
    newest = (applied or [name for name, _ in by_age] or [queue_name(prefix, pool)])[-1]
    return PoolQueues(current=newest, draining=tuple(name for name, _ in by_age if name != newest))


def outdated(topology: Topology, ledger: Ledger) -> list[KnownQueue]:
    """Return the queues we know that are wanted no more: replaced, or their pool is gone."""
    wanted = {queue.name for queue in topology.queues}
    return [ledger.queues[name] for name in sorted(ledger.queues.keys() - wanted)]


def stale(topology: Topology, ledger: Ledger) -> list[Binding]:
    """Return the bindings that may be there and are wanted no more."""
    return sorted((ledger.bindings | ledger.intended) - topology.bindings)


def intending(topology: Topology, ledger: Ledger) -> Ledger:
    """Return what to remember before anything is made."""
    new = {
        queue.name: KnownQueue(name=queue.name, pool=queue.pool, standing=Standing.INTENDED)
        for queue in topology.queues
        if queue.name not in ledger.queues
    }
    return Ledger(
        queues={**ledger.queues, **new},
        bindings=ledger.bindings,
        intended=ledger.intended | (topology.bindings - ledger.bindings),
    )


def bound(topology: Topology, ledger: Ledger) -> Ledger:
    """Return what to remember once all is made and before anything is unbound.

    From here on workers consume a replaced queue and the one that replaces it.
    """
    applied = {
        queue.name: KnownQueue(name=queue.name, pool=queue.pool, standing=Standing.APPLIED)
        for queue in topology.queues
    }
    draining = {
        queue.name: KnownQueue(name=queue.name, pool=queue.pool, standing=Standing.DRAINING)
        for queue in outdated(topology, ledger)
    }
    return Ledger(
        queues={**applied, **draining},
        bindings=topology.bindings | ledger.bindings | ledger.intended,
    )


def unbound(topology: Topology, ledger: Ledger) -> Ledger:
    """Return what to remember once nothing is routed any more to what is drained."""
    return Ledger(queues=bound(topology, ledger).queues, bindings=topology.bindings)
