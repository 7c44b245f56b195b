"""broker/topology.py: what should be in a broker of which version."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.broker.topology import Binding, Change, Exchange, Queue, Step, desired, parse_version
from taskyard.core.routing import Pool, QueueType, RoutingTable

VERSIONS = st.lists(st.integers(0, 12), max_size=3).map(tuple)
POOLS = st.dictionaries(
    st.text("abc-_", min_size=1, max_size=5),
    st.tuples(
        st.lists(st.sampled_from(["a.*", "b.#", "c", "#"]), min_size=1, unique=True),
        st.sampled_from(QueueType),
    ),
    max_size=4,
)


def table(kind: QueueType = QueueType.AUTO) -> RoutingTable:
    pool = Pool(name="media", tasks=("image.*", "video.#"), modules=("m",), queue_type=kind)
    return RoutingTable(pools={"media": pool}, defaults={})


def media_queue(kind: QueueType, version: tuple[int, ...]) -> Queue:
    queues = desired(table(kind), prefix="p", version=version).queues
    return next(queue for queue in queues if queue.pool == "media")


@pytest.mark.parametrize(
    ("version", "kind", "arguments"),
    [
        ((3, 10, 8), QueueType.AUTO, {"x-max-priority": 9}),
        ((4, 2, 1), QueueType.AUTO, {"x-max-priority": 9}),
        ((4, 3, 0), QueueType.AUTO, {"x-queue-type": "quorum"}),
        ((4, 10), QueueType.AUTO, {"x-queue-type": "quorum"}),
        ((5,), QueueType.AUTO, {"x-queue-type": "quorum"}),
        ((4, 3, 0), QueueType.CLASSIC, {"x-max-priority": 9}),
        ((4, 0, 5), QueueType.QUORUM, {"x-queue-type": "quorum"}),
    ],
)
def test_a_pool_has_the_queue_with_strict_priorities(
    version: tuple[int, ...], kind: QueueType, arguments: dict[str, object]
) -> None:
    """Quorum from 4.3 on, classic below; never x-max-priority on a quorum queue."""
    queue = media_queue(kind, version)
    assert queue.name == "p.pool.media"
    assert queue.arguments == {"x-dead-letter-exchange": "p.dead", **arguments}


@pytest.mark.parametrize(
    ("version", "kind", "summary"),
    [
        ((3, 10, 8), QueueType.AUTO, "classic, priorities 0-9"),
        ((4, 3, 0), QueueType.AUTO, "quorum, priorities 0-9"),
        ((4, 0, 5), QueueType.QUORUM, "quorum"),
        ((3, 10, 8), QueueType.QUORUM, "quorum"),
    ],
)
def test_a_plan_promises_priorities_only_where_they_are(
    version: tuple[int, ...], kind: QueueType, summary: str
) -> None:
    """A quorum queue below 4.3 has none, or two classes."""
    assert media_queue(kind, version).summary == summary


@pytest.mark.parametrize("version", [(3, 10), (3, 13, 7), (4, 0), (4, 2, 9)])
def test_a_quorum_queue_without_priorities_is_warned_of(version: tuple[int, ...]) -> None:
    """Asked for by hand, on a broker that has no strict priorities there: which, and what to do."""
    (warning,) = desired(table(QueueType.QUORUM), prefix="p", version=version).warnings
    assert "'media'" in warning
    assert ".".join(map(str, version)) in warning
    assert "auto" in warning


@pytest.mark.parametrize("kind", [QueueType.AUTO, QueueType.CLASSIC])
def test_what_has_strict_priorities_is_not_warned_of(kind: QueueType) -> None:
    """On no broker; and an explicit quorum queue is right from 4.3 on."""
    assert not desired(table(kind), prefix="p", version=(3, 10)).warnings
    assert not desired(table(QueueType.QUORUM), prefix="p", version=(4, 3)).warnings


def test_these_and_no_other_objects_are_in_the_broker() -> None:
    """Nothing collects what is unroutable: it must come back to the publisher (docs/adr/0004)."""
    topology = desired(table(), prefix="p", version=(3, 10))
    assert topology.exchanges == (
        Exchange(name="p.tasks", type="topic"),
        Exchange(name="p.dead", type="fanout"),
        Exchange(name="p.events", type="topic"),
        Exchange(name="p.lifecycle", type="topic"),
    )
    assert [queue.name for queue in topology.queues] == ["p.pool.media", "p.dead", "p.ingest"]
    assert topology.bindings == {
        Binding(queue="p.pool.media", exchange="p.tasks", pattern="image.*"),
        Binding(queue="p.pool.media", exchange="p.tasks", pattern="video.#"),
        Binding(queue="p.dead", exchange="p.dead", pattern=""),
        Binding(queue="p.ingest", exchange="p.events", pattern="#"),
    }


@given(POOLS, VERSIONS)
def test_every_table_gives_a_topology_that_hangs_together(
    pools: dict[str, tuple[list[str], QueueType]], version: tuple[int, ...]
) -> None:
    """One queue for each pool, both ends of each binding there, dead letters go to an exchange."""
    routing = RoutingTable(
        pools={
            name: Pool(name=name, tasks=tuple(tasks), modules=("m",), queue_type=kind)
            for name, (tasks, kind) in pools.items()
        },
        defaults={},
    )
    topology = desired(routing, prefix="p", version=version)
    exchanges = {exchange.name for exchange in topology.exchanges}
    queues = {queue.name for queue in topology.queues}
    assert [queue.pool for queue in topology.queues if queue.pool is not None] == list(pools)
    assert len(queues) == len(topology.queues)
    for binding in topology.bindings:
        assert (binding.exchange in exchanges, binding.queue in queues) == (True, True)
    for queue in topology.queues:
        assert queue.arguments.get("x-dead-letter-exchange", "p.dead") in exchanges
        assert not {"x-max-priority", "x-queue-type"} <= queue.arguments.keys()


def test_a_step_is_a_line_to_read() -> None:
    """A sign, then what it is about."""
    shown = str(Step(change=Change.CREATE, what="queue p.pool.media (classic, priorities 0-9)"))
    assert shown == "+ queue p.pool.media (classic, priorities 0-9)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3.10.8", (3, 10, 8)),
        ("4.3.0-rc.1", (4, 3, 0)),
        ("4.0.5+1", (4, 0, 5)),
        ("4.3.x", (4, 3)),
        ("", ()),
    ],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    """The numbers a version begins with."""
    assert parse_version(text) == expected
