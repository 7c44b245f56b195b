"""Holding the desired topology against a broker, and making it so. Blocking.

py-amqp is used for its exact reply codes: 404 means that something is missing, 406 that it is
there with other properties (AMQP 0-9-1, section 1.2). Either closes the channel, so each question
has a channel of its own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import amqp
from amqp.exceptions import NotFound, PreconditionFailed

from taskyard.broker import tls
from taskyard.broker.ledger import KnownQueue, Ledger, Standing, stale
from taskyard.broker.topology import (
    Binding,
    Change,
    Exchange,
    Queue,
    Step,
    Topology,
    desired,
    next_queue,
    parse_version,
    virtual_host,
)
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import RoutingTable

_TIMEOUT = 10.0


@contextmanager
def connected(url: str) -> Iterator[amqp.Connection]:
    """Open a connection for administration. Raises BrokerUnavailable, also when it breaks."""
    connection, parts = _connection(url), urlsplit(url)
    where = f"RabbitMQ at {connection.host}"
    try:
        connection.connect()
    except amqp.AccessRefused as error:
        user = unquote(parts.username or "guest")
        raise BrokerUnavailable(f"{where} refuses the user {user!r}: {error.reply_text}") from error
    except (OSError, amqp.AMQPError) as error:
        raise BrokerUnavailable(f"{where} does not answer: {tls.explained(error)}") from error
    try:
        yield connection
    except (OSError, amqp.AMQPError) as error:
        raise BrokerUnavailable(f"{where} did not go on: {error}") from error
    finally:
        connection.collect()


def may_log_in(url: str) -> bool:
    """Return whether the broker takes user and password. Raises BrokerUnavailable."""
    connection = _connection(url)
    try:
        connection.connect()
    except (amqp.AccessRefused, amqp.NotAllowed):  # the password, or all of the virtual host
        return False
    except (OSError, amqp.AMQPError) as error:
        where = f"RabbitMQ at {connection.host}"
        raise BrokerUnavailable(f"{where} does not answer: {tls.explained(error)}") from error
    finally:
        connection.collect()
    return True


def _connection(url: str) -> amqp.Connection:
    parts = urlsplit(url)
    return amqp.Connection(
        f"{parts.hostname}:{parts.port or tls.DEFAULT_PORTS[parts.scheme]}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=virtual_host(url),
        ssl=tls.options(url) or False,
        connect_timeout=_TIMEOUT,
        read_timeout=_TIMEOUT,
        write_timeout=_TIMEOUT,
    )


def wanted(
    connection: amqp.Connection, table: RoutingTable, prefix: str, ledger: Ledger
) -> tuple[Topology, Ledger]:
    """Return what should be in this very broker, and the ledger with what was found on the way.

    No queue can change its arguments: a pool that wants other ones gets the next queue in its row.
    """
    version = parse_version(str(connection.server_properties.get("version", "")))
    names = {pool: name for pool in table.pools if (name := ledger.current(pool))}
    queues = desired(table, prefix=prefix, version=version, queues=names).queues
    passed: dict[str, str] = {}
    for queue in queues:
        if queue.pool is not None:
            names[queue.pool], others = _fitting(connection, queue)
            passed |= dict.fromkeys(others, queue.pool)
    topology = desired(table, prefix=prefix, version=version, queues=names)
    strange = {name: pool for name, pool in passed.items() if name not in ledger.queues}
    return topology, _with_strange(ledger, topology, strange)


def _fitting(connection: amqp.Connection, queue: Queue) -> tuple[str, list[str]]:
    """Return the first queue of a pool's row that has these arguments or is free, and the others.

    An apply that died may have made one that is in no ledger; it is met here.
    """
    passed: list[str] = []
    while (step := _compare(connection, queue)) is not None and step.change is Change.CONFLICT:
        passed.append(queue.name)
        queue = replace(queue, name=next_queue(queue.name))
    return queue.name, passed


def _with_strange(ledger: Ledger, topology: Topology, strange: dict[str, str]) -> Ledger:
    """Return the ledger with queues that somebody else made, bound by their pools' patterns."""
    return Ledger(
        queues={
            **ledger.queues,
            **{
                name: KnownQueue(name=name, pool=pool, standing=Standing.DRAINING)
                for name, pool in strange.items()
            },
        },
        bindings=ledger.bindings,
        intended=ledger.intended
        | {
            replace(binding, queue=name)
            for name, pool in strange.items()
            for queue in topology.queues
            for binding in topology.bindings
            if queue.pool == pool and binding.queue == queue.name
        },
    )


def make(connection: amqp.Connection, topology: Topology) -> None:
    """Declare and bind what should be there.

    An exchange or queue with other properties is left alone. Bindings are made anew each time,
    which heals what somebody removed by hand.
    """
    for thing in _things(topology):
        with suppress(PreconditionFailed), connection.channel() as channel:
            _declare(channel, thing)
    for binding in topology.bindings:
        with connection.channel() as channel:
            channel.queue_bind(binding.queue, binding.exchange, binding.pattern)


def unbind(connection: amqp.Connection, bindings: Iterable[Binding]) -> None:
    """Remove bindings; one that is not there is no fault."""
    for binding in bindings:
        with suppress(NotFound), connection.channel() as channel:
            channel.queue_unbind(binding.queue, binding.exchange, binding.pattern)


def differences(connection: amqp.Connection, topology: Topology, ledger: Ledger) -> list[Step]:
    """Return what is missing, stale or other than desired among what should be there."""
    steps = [Step(change=Change.NOTE, what=text) for text in topology.warnings]
    missing: set[str] = set()
    for thing in _things(topology):
        step = _compare(connection, thing)
        if step is not None and step.change is Change.CREATE:
            missing.add(thing.name)
            step = replace(step, what=step.what + _replaces(thing, ledger))
        steps += [step] if step else []
    # A binding goes with either of its ends.
    fresh = (
        b for b in topology.bindings if b not in ledger.bindings or {b.queue, b.exchange} & missing
    )
    steps += [_binding_step(Change.CREATE, binding) for binding in sorted(fresh)]
    steps += [_binding_step(Change.REMOVE, binding) for binding in stale(topology, ledger)]
    return steps


def _replaces(thing: Exchange | Queue, ledger: Ledger) -> str:
    """Say which queue a new one replaces, if it does."""
    pool = thing.pool if isinstance(thing, Queue) else None
    before = ledger.current(pool) if pool is not None else None
    return f", replaces {before}" if before not in (None, thing.name) else ""


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


def _binding_step(change: Change, binding: Binding) -> Step:
    pattern = repr(binding.pattern) if binding.pattern else "everything"
    return Step(change=change, what=f"binding {binding.exchange} ─{pattern}→ {binding.queue}")
