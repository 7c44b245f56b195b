"""core/backlog.py: who is still let in, and when to come again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.backlog import Bound, Holding, hard_end, most_within
from taskyard.core.principal import TenantId

NOISY, QUIET = TenantId("noisy"), TenantId("quiet")
TENANTS = st.sampled_from([TenantId(name) for name in "abcd"])
HOLDINGS = st.dictionaries(
    TENANTS, st.builds(Holding, st.integers(1, 300), st.floats(0.1, 10.0)), max_size=4
)


@pytest.mark.parametrize(
    ("waiting", "let_in"), [(799, range(10)), (800, range(4, 10)), (900, range(8, 10)), (1000, [])]
)
def test_low_priorities_are_shed_first_and_the_critical_have_a_reserve(
    waiting: int, let_in: range
) -> None:
    """From four fifths on, from nine tenths on, at the bound."""
    bound = Bound(waiting=waiting, most=1000)
    assert [priority for priority in range(10) if bound.admits(priority, NOISY)] == list(let_in)


def test_what_was_let_in_since_counts() -> None:
    """A look is a second old."""
    bound = Bound(waiting=700, most=1000)
    assert bound.admits(0, NOISY, more=99)
    assert not bound.admits(0, NOISY, more=100)


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
    assert empty.admits(9, NOISY, own=5)
    assert not empty.admits(9, NOISY, more=1, own=1)
    assert not Bound(waiting=1, most=2).admits(9, NOISY, own=1)


def held(most: int = 100, **holdings: Holding) -> Bound:
    """A bound with what these tenants hold."""
    by_tenant = {TenantId(name): holding for name, holding in holdings.items()}
    waiting = sum(each.waiting for each in holdings.values())
    return Bound(waiting=waiting, most=most, holdings=by_tenant)


def test_who_floods_is_refused_before_who_does_not() -> None:
    """The flood has filled the bound; the other is let in up to its half, and to the hard end."""
    bound = held(noisy=Holding(100))
    assert not any(bound.admits(priority, NOISY) for priority in range(10))
    assert [priority for priority in range(10) if bound.admits(priority, QUIET)] == [*range(4, 10)]
    assert bound.admits(4, QUIET, more=12, held=12)
    assert not bound.admits(4, QUIET, more=13, held=13)  # 112.5 is the hard end of that priority
    assert not bound.admits(9, QUIET, more=25)
    assert held(noisy=Holding(60), quiet=Holding(49)).admits(9, QUIET)
    assert not held(noisy=Holding(60), quiet=Holding(50)).admits(9, QUIET)


def test_a_share_goes_by_the_weight() -> None:
    """As in the lines of the dispatcher: three to one is three quarters."""
    bound = held(heavy=Holding(74, 3.0), light=Holding(26, 1.0))
    assert bound.admits(9, TenantId("heavy"))
    assert not bound.admits(9, TenantId("light"))


def test_nobody_is_let_in_beyond_the_bound_while_nobody_knows_who_holds_it() -> None:
    """The next look tells."""
    assert not Bound(waiting=100, most=100).admits(9, QUIET)
    assert Bound(waiting=99, most=100).admits(9, QUIET)


@given(holdings=HOLDINGS, priority=st.integers(0, 9), tenant=TENANTS, more=st.integers(0, 50))
def test_more_that_waits_lets_nobody_in(
    holdings: dict[TenantId, Holding], priority: int, tenant: TenantId, more: int
) -> None:
    """And beyond the hard end nobody is, whoever holds what."""
    waiting = sum(each.waiting for each in holdings.values())
    bound = Bound(waiting=waiting, most=400, holdings=holdings)
    if bound.admits(priority, tenant, more=more + 1, held=1):
        assert bound.admits(priority, tenant, more=more)
    if waiting + more >= hard_end(400):
        assert not bound.admits(priority, tenant, more=more)


@given(waiting=st.integers(1, 500), priority=st.integers(0, 9))
def test_a_tenant_that_is_alone_has_the_bound_and_no_more(waiting: int, priority: int) -> None:
    """As if there were no tenants."""
    alone = held(400, noisy=Holding(waiting))
    assert alone.admits(priority, NOISY) == Bound(waiting=waiting, most=400).admits(priority, NOISY)


@given(arrivals=st.lists(TENANTS, min_size=100, max_size=300), weight=st.floats(0.2, 5.0))
def test_nobody_is_refused_with_less_than_its_share_while_another_holds_more(
    arrivals: list[TenantId], weight: float
) -> None:
    """However they come: who is refused below the hard end holds its fair share."""
    weights = {TenantId(name): weight if name == "a" else 1.0 for name in "abcd"}
    holdings: dict[TenantId, Holding] = {}
    for tenant in arrivals:
        waiting = sum(each.waiting for each in holdings.values())
        holds = holdings.get(tenant, Holding(0, weights[tenant]))
        known = {**holdings, tenant: holds} if holds.waiting else holdings
        if Bound(waiting=waiting, most=100, holdings=known).admits(9, tenant):
            holdings[tenant] = Holding(holds.waiting + 1, weights[tenant])
        elif waiting < hard_end(100) and holds.waiting:
            total = sum(each.weight for each in holdings.values())
            assert holds.waiting >= 100 * weights[tenant] / total - 1e-6
    assert sum(each.waiting for each in holdings.values()) <= hard_end(100)
