"""broker/topology.py: what should be in a broker of which version."""

import pytest

from taskyard.broker.topology import desired, parse_version
from taskyard.core.routing import Pool, QueueType, RoutingTable


def table(kind: QueueType = QueueType.AUTO) -> RoutingTable:
    pool = Pool(name="media", tasks=("image.*", "video.#"), modules=("m",), queue_type=kind)
    return RoutingTable(pools={"media": pool}, defaults={})


@pytest.mark.parametrize(
    ("version", "kind", "arguments"),
    [
        ((3, 10, 8), QueueType.AUTO, {"x-max-priority": 9}),
        ((4, 2, 1), QueueType.AUTO, {"x-max-priority": 9}),
        ((4, 3, 0), QueueType.AUTO, {"x-queue-type": "quorum"}),
        ((4, 3, 0), QueueType.CLASSIC, {"x-max-priority": 9}),
        ((4, 0, 5), QueueType.QUORUM, {"x-queue-type": "quorum"}),
    ],
)
def test_a_pool_has_the_queue_with_strict_priorities(
    version: tuple[int, ...], kind: QueueType, arguments: dict[str, object]
) -> None:
    """Quorum from 4.3 on, classic below; never x-max-priority on a quorum queue."""
    topology = desired(table(kind), prefix="p", version=version)
    queue = next(queue for queue in topology.queues if queue.pool == "media")
    assert queue.name == "p.pool.media"
    assert queue.arguments == {"x-dead-letter-exchange": "p.dead", **arguments}


def test_a_quorum_queue_without_priorities_is_warned_of() -> None:
    """Asked for by hand, on a broker that has no strict priorities there."""
    assert "auto" in desired(table(QueueType.QUORUM), prefix="p", version=(4, 0)).warnings[0]
    assert not desired(table(QueueType.QUORUM), prefix="p", version=(4, 3)).warnings


def test_each_pattern_is_a_binding() -> None:
    """Of the pool's queue to the exchange of wake-ups."""
    topology = desired(table(), prefix="p", version=(3, 10))
    bound = {b.pattern for b in topology.bindings if b.queue == "p.pool.media"}
    assert bound == {"image.*", "video.#"}
    assert "p.unrouted" not in {exchange.name for exchange in topology.exchanges}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3.10.8", (3, 10, 8)), ("4.3.0-rc.1", (4, 3)), ("4.0.5+1", (4, 0)), ("", ())],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    """The numbers a version begins with."""
    assert parse_version(text)[: len(expected)] == expected
