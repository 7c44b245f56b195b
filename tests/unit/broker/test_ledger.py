"""broker/ledger.py: what is remembered before, between and after the steps of an apply."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.broker.ledger import (
    KnownQueue,
    Ledger,
    PoolQueues,
    Standing,
    bound,
    intending,
    outdated,
    pool_queues,
    stale,
    unbound,
)
from taskyard.broker.topology import Binding, desired, next_queue, queue_version
from taskyard.core.routing import Pool, RoutingTable

MEDIA = "p.pool.media"
TABLE = RoutingTable(
    pools={"media": Pool(name="media", tasks=("image.*",), modules=("m",))}, defaults={}
)
WANTED = desired(TABLE, prefix="p", version=(3, 10), queues={"media": f"{MEDIA}.v2"})
VERSIONS = st.dictionaries(st.integers(1, 30), st.sampled_from(Standing), max_size=6)


def known(version: int, standing: Standing) -> KnownQueue:
    return KnownQueue(name=named(version), pool="media", standing=standing)


def named(version: int) -> str:
    return MEDIA if version == 1 else f"{MEDIA}.v{version}"


def ledger(**more: Any) -> Ledger:
    """One where the first queue is in use."""
    queue = known(1, Standing.APPLIED)
    made = Binding(queue=MEDIA, exchange="p.tasks", pattern="image.*")
    return Ledger(queues={queue.name: queue}, bindings=frozenset({made}), **more)


@given(st.integers(1, 1000))
def test_queues_of_a_pool_are_numbered(version: int) -> None:
    """The first bears no number; each is followed by the next."""
    assert queue_version(named(version)) == version
    assert next_queue(named(version)) == named(version + 1)


@given(VERSIONS)
def test_the_current_queue_is_the_newest_that_was_made(versions: dict[int, Standing]) -> None:
    """By number, not by name; one that is only intended counts when there is no other."""
    queues = {named(version): known(version, standing) for version, standing in versions.items()}
    applied = [version for version in versions if versions[version] is Standing.APPLIED]
    newest = max(applied or versions, default=None)
    expected = None if newest is None else named(newest)
    assert Ledger(queues=queues).current("media") == expected
    assert Ledger(queues=queues).current("other") is None


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], PoolQueues(current=MEDIA)),
        ([(1, "applied")], PoolQueues(current=MEDIA)),
        ([(10, "applied"), (9, "draining"), (2, "draining")],
         PoolQueues(current=named(10), draining=(named(2), named(9)))),
        ([(1, "draining")], PoolQueues(current=MEDIA)),
        ([(1, "draining"), (2, "draining")], PoolQueues(current=named(2), draining=(MEDIA,))),
    ],
    ids=["never applied", "one", "two digits", "its pool is gone", "gone while it moved"],
)  # fmt: skip
def test_a_worker_consumes_what_its_pool_has(
    rows: list[tuple[int, str]], expected: PoolQueues
) -> None:
    """The current queue and those that are drained; by convention where nothing is written."""
    entries = [(named(version), standing) for version, standing in rows]
    assert pool_queues(entries, prefix="p", pool="media") == expected


def test_nothing_is_made_that_is_not_written_before() -> None:
    """The first writing holds all that may be there when an apply dies, and calls nothing made."""
    before = ledger()
    written = intending(WANTED, before)
    assert {queue.name for queue in WANTED.queues} <= written.queues.keys()
    assert written.queues[f"{MEDIA}.v2"].standing is Standing.INTENDED
    assert written.queues[MEDIA].standing is Standing.APPLIED
    assert written.bindings == before.bindings
    assert written.intended == WANTED.bindings


def test_both_queues_are_consumed_before_the_old_one_is_unbound() -> None:
    """The second writing comes between; its bindings are still known."""
    written = bound(WANTED, ledger())
    assert written.queues[f"{MEDIA}.v2"].standing is Standing.APPLIED
    assert written.queues[MEDIA].standing is Standing.DRAINING
    assert written.bindings == WANTED.bindings | ledger().bindings


def test_in_the_end_only_what_is_wanted_is_bound() -> None:
    """And the queue that is drained is known until it is removed."""
    written = unbound(WANTED, ledger())
    assert (written.bindings, written.intended) == (WANTED.bindings, frozenset())
    assert [queue.name for queue in outdated(WANTED, written)] == [MEDIA]
    assert stale(WANTED, written) == []


def test_what_was_only_intended_is_unbound_as_well() -> None:
    """It may have been made by an apply that died before it could write so."""
    lost = Binding(queue=MEDIA, exchange="p.tasks", pattern="video.*")
    assert lost in stale(WANTED, ledger(intended=frozenset({lost})))
