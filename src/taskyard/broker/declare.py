"""Holding the desired topology against a broker, and making it so. Blocking.

py-amqp is used for its exact reply codes: 404 means that something is missing, 406 that it is
there with other properties (AMQP 0-9-1, section 1.2). Either closes the channel, so each question
has a channel of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import NotFound, PreconditionFailed

from taskyard.broker.topology import (
    Binding,
    Change,
    Exchange,
    Ledger,
    Queue,
    Step,
    Topology,
    desired,
    parse_version,
)
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import RoutingTable

_TIMEOUT = 10.0


@contextmanager
def connected(url: str) -> Iterator[amqp.Connection]:
    """Open a connection for administration. Raises BrokerUnavailable."""
    parts = urlsplit(url)
    connection = amqp.Connection(
        f"{parts.hostname}:{parts.port or (5671 if parts.scheme == 'amqps' else 5672)}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=virtual_host(url),
        ssl=parts.scheme == "amqps",
        connect_timeout=_TIMEOUT,
        read_timeout=_TIMEOUT,
        write_timeout=_TIMEOUT,
    )
    try:
        connection.connect()
    except (OSError, amqp.AMQPError) as error:
        where = f"{parts.hostname}:{parts.port or 5672}"
        raise BrokerUnavailable(f"RabbitMQ at {where} does not answer: {error}") from error
    try:
        yield connection
    finally:
        connection.collect()


def virtual_host(url: str) -> str:
    """Return the virtual host an AMQP URL names; / when it names none."""
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"


def wanted(connection: amqp.Connection, table: RoutingTable, prefix: str) -> Topology:
    """Return what should be in this very broker."""
    version = parse_version(str(connection.server_properties.get("version", "")))
    return desired(table, prefix=prefix, version=version)


def plan(connection: amqp.Connection, topology: Topology, ledger: Ledger) -> list[Step]:
    """Return what `apply` would do. Changes nothing."""
    steps = [Step(change=Change.NOTE, what=text) for text in topology.warnings]
    missing = set()
    for thing in _things(topology):
        step = _compare(connection, thing)
        if step is not None:
            steps.append(step)
            if step.change is Change.CREATE:
                missing.add(thing.name)
    fresh = (b for b in topology.bindings if b not in ledger.bindings or b.queue in missing)
    steps += [_binding_step(Change.CREATE, binding) for binding in sorted(fresh)]
    steps += [_binding_step(Change.REMOVE, binding) for binding in _stale(topology, ledger)]
    steps += _orphans(connection, topology, ledger).values()
    return steps


def apply(
    connection: amqp.Connection, topology: Topology, ledger: Ledger
) -> tuple[list[Step], Ledger]:
    """Make the broker as desired; return what was done and what to remember.

    A queue or exchange with other properties is reported and left alone, and a queue that holds
    messages or has consumers is never removed. Bindings are made anew each time, which heals what
    somebody removed by hand, and new ones are made before stale ones go: no type is ever unbound.
    """
    steps = plan(connection, topology, ledger)
    for thing in _things(topology):
        with suppress(PreconditionFailed), connection.channel() as channel:
            _declare(channel, thing)
    for binding in topology.bindings:
        with connection.channel() as channel:
            channel.queue_bind(binding.queue, binding.exchange, binding.pattern)
    for binding in _stale(topology, ledger):
        with suppress(NotFound), connection.channel() as channel:
            channel.queue_unbind(binding.queue, binding.exchange, binding.pattern)
    kept = {queue.name for queue in topology.queues}
    for name, step in _orphans(connection, topology, ledger).items():
        if step.change is Change.CONFLICT:
            kept.add(name)
            continue
        with connection.channel() as channel:
            channel.queue_delete(name, if_unused=True, if_empty=True)
    return steps, Ledger(queues=frozenset(kept), bindings=topology.bindings)


def _things(topology: Topology) -> Iterator[Exchange | Queue]:
    yield from topology.exchanges
    yield from topology.queues


def _compare(connection: amqp.Connection, thing: Exchange | Queue) -> Step | None:
    """Return how an exchange or queue in the broker differs from the desired one, or None."""
    try:
        with connection.channel() as channel:
            _declare(channel, thing, passive=True)
    except NotFound:
        return Step(change=Change.CREATE, what=_named(thing))
    try:
        # Declaring what is there just so does nothing; otherwise the broker says what differs.
        with connection.channel() as channel:
            _declare(channel, thing)
    except PreconditionFailed as error:
        what = f"{_named(thing)} is there with other properties, left alone: {error.reply_text}"
        return Step(change=Change.CONFLICT, what=what)
    return None


def _declare(channel: amqp.Channel, thing: Exchange | Queue, *, passive: bool = False) -> None:
    if isinstance(thing, Exchange):
        channel.exchange_declare(
            thing.name, thing.type, passive=passive, durable=True, auto_delete=False
        )
    else:
        channel.queue_declare(
            thing.name,
            passive=passive,
            durable=True,
            auto_delete=False,
            arguments=dict(thing.arguments),
        )


def _named(thing: Exchange | Queue) -> str:
    if isinstance(thing, Exchange):
        return f"exchange {thing.name} ({thing.type})"
    return f"queue {thing.name} ({thing.summary})"


def _stale(topology: Topology, ledger: Ledger) -> list[Binding]:
    """Bindings made before that are wanted no more."""
    return sorted(ledger.bindings - topology.bindings)


def _binding_step(change: Change, binding: Binding) -> Step:
    pattern = repr(binding.pattern) if binding.pattern else "everything"
    return Step(change=change, what=f"binding {binding.exchange} ─{pattern}→ {binding.queue}")


def _orphans(connection: amqp.Connection, topology: Topology, ledger: Ledger) -> dict[str, Step]:
    """Queues we made for pools that the routing table no longer has."""
    found = {}
    for name in sorted(ledger.queues - {queue.name for queue in topology.queues}):
        try:
            with connection.channel() as channel:
                state = channel.queue_declare(name, passive=True)
        except NotFound:
            continue
        if state.message_count or state.consumer_count:
            what = (
                f"queue {name} has no pool any more, but {state.message_count} messages and "
                f"{state.consumer_count} consumers: left alone"
            )
            found[name] = Step(change=Change.CONFLICT, what=what)
        else:
            found[name] = Step(change=Change.REMOVE, what=f"queue {name} (its pool is gone)")
    return found
