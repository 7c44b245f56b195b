"""Holding the desired topology against a broker, and making it so. Blocking.

py-amqp is used for its exact reply codes: 404 means that something is missing, 406 that it is
there with other properties (AMQP 0-9-1, section 1.2). Either closes the channel, so each question
has a channel of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import AMQPNotImplementedError, NotFound, PreconditionFailed

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
    """Open a connection for administration. Raises BrokerUnavailable, also when it breaks."""
    parts = urlsplit(url)
    tls = parts.scheme == "amqps"
    host = f"{parts.hostname}:{parts.port or (5671 if tls else 5672)}"
    where = f"RabbitMQ at {host}"
    connection = amqp.Connection(
        host,
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=virtual_host(url),
        # Without its name the certificate of any server would do.
        ssl={"server_hostname": parts.hostname} if tls else False,
        connect_timeout=_TIMEOUT,
        read_timeout=_TIMEOUT,
        write_timeout=_TIMEOUT,
    )
    try:
        connection.connect()
    except (OSError, amqp.AMQPError) as error:
        raise BrokerUnavailable(f"{where} does not answer: {error}") from error
    try:
        yield connection
    except (OSError, amqp.AMQPError) as error:
        raise BrokerUnavailable(f"{where} did not go on: {error}") from error
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
    return _differences(connection, topology, ledger) + _orphans(connection, topology, ledger)


def apply(
    connection: amqp.Connection, topology: Topology, ledger: Ledger, *, url: str
) -> tuple[list[Step], Ledger]:
    """Make the broker as desired; return what was done and what to remember.

    A queue or exchange with other properties is reported and left alone, and a queue that holds
    messages or has consumers is never removed. Bindings are made anew each time, which heals what
    somebody removed by hand, and new ones are made before stale ones go: no type is ever unbound.
    `url` is where `connection` leads: removing a queue may cost a connection.
    """
    steps = _differences(connection, topology, ledger)
    for thing in _things(topology):
        with suppress(PreconditionFailed), connection.channel() as channel:
            _declare(channel, thing)
    for binding in topology.bindings:
        with connection.channel() as channel:
            channel.queue_bind(binding.queue, binding.exchange, binding.pattern)
    for binding in _stale(topology, ledger):
        with suppress(NotFound), connection.channel() as channel:
            channel.queue_unbind(binding.queue, binding.exchange, binding.pattern)
    settled = {name: _settle(connection, name, url=url) for name in _orphaned(topology, ledger)}
    orphans = {name: step for name, step in settled.items() if step is not None}
    kept = {name for name, step in orphans.items() if step.change is Change.CONFLICT}
    queues = kept | {queue.name for queue in topology.queues}
    done = [*steps, *orphans.values()]
    return done, Ledger(queues=frozenset(queues), bindings=topology.bindings)


def _differences(connection: amqp.Connection, topology: Topology, ledger: Ledger) -> list[Step]:
    """Return what is missing, stale or other than desired among what should be there."""
    steps = [Step(change=Change.NOTE, what=text) for text in topology.warnings]
    missing: set[str] = set()
    for thing in _things(topology):
        step = _compare(connection, thing)
        if step is not None:
            steps.append(step)
            if step.change is Change.CREATE:
                missing.add(thing.name)
    # A binding goes with either of its ends.
    fresh = (
        b for b in topology.bindings if b not in ledger.bindings or {b.queue, b.exchange} & missing
    )
    steps += [_binding_step(Change.CREATE, binding) for binding in sorted(fresh)]
    steps += [_binding_step(Change.REMOVE, binding) for binding in _stale(topology, ledger)]
    return steps


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


def _orphaned(topology: Topology, ledger: Ledger) -> list[str]:
    """Queues we made for pools that the routing table no longer has."""
    return sorted(ledger.queues - {queue.name for queue in topology.queues})


def _orphans(connection: amqp.Connection, topology: Topology, ledger: Ledger) -> list[Step]:
    steps = (_orphan(connection, name) for name in _orphaned(topology, ledger))
    return [step for step in steps if step is not None]


def _orphan(connection: amqp.Connection, name: str) -> Step | None:
    """Return what to do with a queue whose pool is gone; None when it is gone too."""
    try:
        with connection.channel() as channel:
            found = channel.queue_declare(name, passive=True)
    except NotFound:
        return None
    if found.message_count or found.consumer_count:
        return _left_alone(
            name, f"{found.message_count} messages and {found.consumer_count} consumers"
        )
    return Step(change=Change.REMOVE, what=f"queue {name} (its pool is gone)")


def _settle(connection: amqp.Connection, name: str, *, url: str) -> Step | None:
    """Remove a queue whose pool is gone unless it is in use; return what became of it.

    A classic queue looks and goes in one step. Others refuse conditions with an error that ends
    the connection (540, rabbit_quorum_queue.erl), so this has its own; they are looked at again.
    """
    step = _orphan(connection, name)
    if step is None or step.change is Change.CONFLICT:
        return step
    with connected(url) as own:
        try:
            own.channel().queue_delete(name, if_unused=True, if_empty=True)
            return step
        except PreconditionFailed:
            return _left_alone(name, "messages or consumers since a moment ago")
        except AMQPNotImplementedError:
            step = _orphan(connection, name)
    if step is not None and step.change is Change.REMOVE:
        with connection.channel() as channel:
            channel.queue_delete(name)
    return step


def _left_alone(name: str, holds: str) -> Step:
    what = f"queue {name} has no pool any more, but {holds}: left alone"
    return Step(change=Change.CONFLICT, what=what)
