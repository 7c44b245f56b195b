"""storage/attempts_together.py: many claims in one commit, many finishes in one commit."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import TaskId
from taskyard.storage.attempts_together import Ended, Stored, Wanted, ended, finish_and_claim
from taskyard.storage.pool import Cursor, connect_sync
from taskyard.storage.sealing import NO_KEYS

INSERT = """
INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                   at_most_once)
VALUES (%s, 'a.b', 'p', 4, 'queued', 3, now(), now(), %s::jsonb, %s)"""


@pytest.fixture
def worker(database_url: str) -> Iterator[Cursor]:
    with connect_sync(database_url, name="tests") as opened, opened.cursor() as cursor:
        yield cursor


def wanted(worker: Cursor, *, args: str = "{}", at_most_once: bool = False) -> Wanted:
    task_id = TaskId(uuid4())
    worker.execute(INSERT, (task_id, args, at_most_once))
    return Wanted(task_id, "a.b", LeaseToken(uuid4()))


def claim_many(worker: Cursor, claims: list[Wanted]) -> list[Lease | None]:
    return finish_and_claim(worker, [], claims, "w")[1]


def ending(*ends: tuple[Lease, str]) -> list[Ended]:
    return [ended(NO_KEYS, lease, result) for lease, result in ends]


def leased(worker: Cursor, count: int) -> list[Lease]:
    claimed = claim_many(worker, [wanted(worker) for _ in range(count)])
    return [lease for lease in claimed if lease is not None]


def finish(worker: Cursor, *ends: tuple[Lease, str]) -> list[Stored]:
    return finish_and_claim(worker, ending(*ends), [], "w")[0]


def result(worker: Cursor, lease: Lease) -> str | None:
    row = worker.execute("SELECT result::text FROM tasks WHERE id = %s", (lease.id,)).fetchone()
    assert row is not None
    return None if row[0] is None else str(row[0])


def test_each_claim_is_answered_with_its_own_task(worker: Cursor) -> None:
    """Whatever the order in which Postgres comes to them."""
    claims = [wanted(worker, args=f'{{"n": {n}}}') for n in range(20)]
    leases = claim_many(worker, claims)
    assert [lease and (lease.id, lease.token, lease.args) for lease in leases] == [
        (claim.id, claim.token, {"n": n}) for n, claim in enumerate(claims)
    ]


def test_nothing_of_a_paused_pool_is_claimed_among_others(worker: Cursor) -> None:
    """As when it is claimed alone; and what ends beside it is stored."""
    paused, free, running = wanted(worker), wanted(worker), wanted(worker)
    [lease] = claim_many(worker, [running])
    assert lease is not None
    worker.execute("UPDATE tasks SET pool = 'other' WHERE id = %s", (free.id,))
    worker.execute("INSERT INTO pool_pauses (pool) VALUES ('p')")
    assert claim_many(worker, [paused, paused]) == [None, None]
    stored, leases = finish_and_claim(worker, ending((lease, "1")), [paused, free], "w")
    assert stored == [True]
    assert [bool(each) for each in leases] == [False, True]


def test_what_cannot_be_claimed_is_no_hindrance_to_the_others(worker: Cursor) -> None:
    """An unknown id, another type and a second claim of the same task get nothing, alone."""
    first, other, last = (wanted(worker) for _ in range(3))
    twin = Wanted(first.id, "a.b", LeaseToken(uuid4()))
    foreign = Wanted(other.id, "a.c", LeaseToken(uuid4()))
    unknown = Wanted(TaskId(uuid4()), "a.b", LeaseToken(uuid4()))
    leases = claim_many(worker, [first, foreign, twin, unknown, last])
    assert [lease is not None for lease in leases].count(True) == 2
    assert leases[4] is not None
    assert (leases[0] is None) != (leases[2] is None)


def test_a_claim_whose_answer_was_lost_is_answered_again(worker: Cursor) -> None:
    """Said again with the same tokens, the same leases come back."""
    claims = [wanted(worker) for _ in range(3)]
    assert claim_many(worker, claims) == [
        lease for lease in claim_many(worker, claims) if lease and lease.attempt == 1
    ]


@pytest.mark.parametrize(("at_most_once", "waits"), [(False, "off"), (True, "on")])
def test_a_commit_waits_for_the_disk_if_one_of_its_claims_must(
    worker: Cursor, at_most_once: bool, waits: str
) -> None:
    """A claim that may happen only once is durable, whoever shares its commit, first or last."""
    one_way = [wanted(worker, at_most_once=at_most_once), wanted(worker)]
    with worker.connection.transaction():
        claim_many(worker, one_way)
        assert worker.execute("SHOW synchronous_commit").fetchone() == (waits,)
    other_way = [wanted(worker), wanted(worker, at_most_once=at_most_once)]
    with worker.connection.transaction():
        claim_many(worker, other_way)
        assert worker.execute("SHOW synchronous_commit").fetchone() == (waits,)


def test_a_stale_lease_spoils_no_other(worker: Cursor) -> None:
    """Each result is fenced by the token of its own attempt."""
    first, stale, last = leased(worker, 3)
    worker.execute("UPDATE tasks SET lease_token = %s WHERE id = %s", (uuid4(), stale.id))
    assert finish(worker, (first, "1"), (stale, "2"), (last, "3")) == [True, False, True]
    assert [result(worker, each) for each in (first, stale, last)] == ["1", None, "3"]


def test_a_result_that_cannot_be_stored_spoils_no_other(worker: Cursor) -> None:
    """NUL is refused by Postgres: its neighbours are stored all the same, and it is told why."""
    first, refused, last = leased(worker, 3)
    said = finish(worker, (first, "1"), (refused, r'"a\u0000b"'), (last, "3"))
    assert (said[0], said[2]) == (True, True)
    assert isinstance(said[1], psycopg.DataError)
    assert [result(worker, each) for each in (first, refused, last)] == ["1", None, "3"]


def test_results_are_stored_to_the_letter(worker: Cursor) -> None:
    """Null is a result, and a number keeps all its digits, as with a single finish."""
    results = ["null", '{"a": [1, "]"]}', "12345678901234567890.50", '"ü"', "[]"]
    leases = leased(worker, len(results))
    assert finish(worker, *zip(leases, results, strict=True)) == [True] * len(results)
    assert [result(worker, each) for each in leases] == results


def test_a_claim_shares_the_statement_of_a_finish(worker: Cursor) -> None:
    """Stale leases and what cannot be claimed are told apart from what was stored and taken."""
    first, stale = leased(worker, 2)
    worker.execute("UPDATE tasks SET lease_token = %s WHERE id = %s", (uuid4(), stale.id))
    claims = [Wanted(first.id, "a.b", LeaseToken(uuid4())), wanted(worker, args='{"n": 7}')]
    with worker.connection.transaction():
        stored, leases = finish_and_claim(worker, ending((first, "1"), (stale, "2")), claims, "w")
        assert worker.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert stored == [True, False]
    assert leases[0] is None
    assert leases[1] is not None
    assert (leases[1].token, leases[1].args, leases[1].attempt) == (claims[1].token, {"n": 7}, 1)
    assert [result(worker, each) for each in (first, stale)] == ["1", None]


def test_a_result_that_cannot_be_stored_spoils_no_claim(worker: Cursor) -> None:
    """What shares its statement is written all the same."""
    good, refused = leased(worker, 2)
    ends = ending((good, "1"), (refused, r'"\u0000"'))
    stored, leases = finish_and_claim(worker, ends, [wanted(worker)], "w")
    assert stored[0] is True
    assert isinstance(stored[1], psycopg.DataError)
    assert leases[0] is not None
