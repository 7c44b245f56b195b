"""core/backlog.py: who is still let in, and when to come again."""

import pytest

from taskyard.core.backlog import Bound, most_within


@pytest.mark.parametrize(
    ("waiting", "let_in"), [(799, range(10)), (800, range(4, 10)), (900, range(8, 10)), (1000, [])]
)
def test_low_priorities_are_shed_first_and_the_critical_have_a_reserve(
    waiting: int, let_in: range
) -> None:
    """From four fifths on, from nine tenths on, at the bound."""
    bound = Bound(waiting=waiting, most=1000)
    assert [priority for priority in range(10) if bound.admits(priority)] == list(let_in)


def test_what_was_let_in_since_counts() -> None:
    """A look is a second old."""
    bound = Bound(waiting=700, most=1000)
    assert bound.admits(0, more=99)
    assert not bound.admits(0, more=100)


def test_the_time_to_come_again_is_that_of_working_off_the_excess() -> None:
    """Later for low priorities, and not for all at once."""
    bound = Bound(waiting=1000, most=1000, rate=10.0)
    assert bound.retry_after(4, jitter=0.0) == 10
    assert bound.retry_after(0, jitter=0.0) == 20
    assert bound.retry_after(4, jitter=1.0) == 15
    assert bound.retry_after(9, jitter=0.0) == 1
    assert Bound(waiting=10**9, most=1, rate=1e-9).retry_after(0, jitter=1.0) == 5400
    assert {Bound(waiting=9, most=9).retry_after(4, jitter=j / 10) for j in range(11)} == {
        5,
        6,
        7,
        8,
    }


def test_one_task_may_always_wait() -> None:
    """However slow the pool."""
    assert most_within(60.0, rate=0.001) == 1
    assert most_within(60.0, rate=2.0) == 120
    assert most_within(1e300, rate=1e300) == 2**31 - 1


def test_a_group_larger_than_the_bound_comes_in_while_nothing_else_waits() -> None:
    """It never would else; what waits, or was let in since, keeps it out."""
    empty = Bound(waiting=0, most=2)
    assert empty.admits(9, own=5)
    assert not empty.admits(9, more=1, own=1)
    assert not Bound(waiting=1, most=2).admits(9, own=1)
