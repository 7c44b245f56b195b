"""core/fairness.py: who comes next, by priority, shares and waiting."""

from collections import Counter
from itertools import count
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from taskyard.core.fairness import Choice, Line, Share, Waiting, choose
from taskyard.core.principal import TenantId
from taskyard.core.task import TaskId

_numbers = count(1)


def line(
    tenant: str, length: int, *, level: int = 4, waited: float = 0.0, cost: float = 1.0,
    whole: bool = True,
) -> Line:  # fmt: skip
    tasks = tuple(
        Waiting(id=TaskId(UUID(int=next(_numbers))), type=f"{tenant}.{level}", attempt=0,
                waited=waited, cost=cost)
        for _ in range(length)
    )  # fmt: skip
    return Line(tenant=TenantId(tenant), level=level, tasks=tasks, whole=whole)


def chosen(
    *lines: Line, room: int, virtual_time: float = 0.0, **shares: Share
) -> tuple[list[str], Choice]:
    """The types of the chosen, which are the tenants and levels of these tests, and the choice."""
    known = {each.tenant: shares.get(each.tenant, Share()) for each in lines}
    choice = choose(lines, known, virtual_time=virtual_time, room=room, ageing=60)
    return [wakeup.type for wakeup in choice.wakeups], choice


def test_a_tenant_with_one_task_is_next_however_many_another_has() -> None:
    """Both weigh the same, so the second turn is the quiet one's at the latest."""
    order, _ = chosen(line("noisy", 100, whole=False), line("quiet", 1), room=10)
    assert "quiet.4" in order[:2]


def test_a_newcomer_has_no_debts_and_no_savings() -> None:
    """It starts where the pool is: behind nobody, and not ahead by all it never used."""
    noisy = Share(spent=1000.0)
    order, _ = chosen(line("noisy", 10), line("new", 10), room=10, virtual_time=1000.0, noisy=noisy)
    assert Counter(order) == {"noisy.4": 5, "new.4": 5}


@settings(deadline=None, max_examples=30)
@given(st.lists(st.sampled_from([0.5, 1.0, 2.0, 3.0]), min_size=2, max_size=6))
def test_shares_are_as_the_weights(weights: list[float]) -> None:
    """Over any number of rounds, to within one task each."""
    names = [f"t{number}" for number in range(len(weights))]
    shares = {name: Share(weight=weight) for name, weight in zip(names, weights, strict=True)}
    had: Counter[str] = Counter()
    virtual_time = 0.0
    for _ in range(5):
        order, choice = chosen(
            *(line(name, 80) for name in names), room=40, virtual_time=virtual_time, **shares
        )
        had.update(order)
        virtual_time = choice.virtual_time
        shares |= {
            name: Share(weight=shares[name].weight, spent=spent, idle=0.0)
            for name, spent in choice.spent.items()
        }
    for name, weight in zip(names, weights, strict=True):
        assert abs(had[f"{name}.4"] - 200 * weight / sum(weights)) <= 1 + max(weights) / weight


def test_a_turn_costs_what_it_takes() -> None:
    """Whose tasks run ten times as long has a tenth of the turns, and the same time."""
    order, _ = chosen(line("long", 50, cost=10.0), line("short", 50, cost=1.0), room=44)
    assert Counter(order) == {"short.4": 40, "long.4": 4}


def test_the_more_urgent_goes_first_whoever_sent_it() -> None:
    """Priority is above shares, among tenants and within one."""
    order, choice = chosen(
        line("a", 2, level=4), line("a", 1, level=5), line("b", 2, level=9), room=5
    )
    assert order[:3] == ["b.9", "b.9", "a.5"]
    assert [wakeup.priority for wakeup in choice.wakeups] == [9, 9, 5, 4, 4]


def test_waiting_raises_a_task_above_its_own_tenants_later_ones() -> None:
    """By a level a minute; it is published with what counted for it."""
    order, _ = chosen(line("a", 1, level=0, waited=541.0), line("a", 1, level=9), room=2)
    assert order == ["a.0", "a.9"]
    order, _ = chosen(line("a", 1, level=0, waited=539.0), line("a", 1, level=9), room=2)
    assert order == ["a.9", "a.0"]


def test_a_tenant_that_was_not_served_rises_above_others_priorities() -> None:
    """It gets one turn, and waits again."""
    starved = Share(idle=301.0)
    order, choice = chosen(
        line("low", 5, level=4, waited=900.0),
        line("high", 5, level=9),
        room=6,
        virtual_time=50.0,
        high=Share(spent=60.0, idle=0.0),
        low=starved,
    )
    assert order == ["low.4", *["high.9"] * 5]
    assert choice.wakeups[0].priority == 9


def test_a_long_backlog_does_not_outrank_who_comes_later() -> None:
    """It has waited an hour because it is long, not because its tenant was not served."""
    order, _ = chosen(
        line("noisy", 100, waited=3600.0, whole=False),
        line("quiet", 1),
        room=4,
        noisy=Share(spent=5.0, idle=0.1),
        virtual_time=5.0,
    )
    assert "quiet.4" in order[:2]


def test_nothing_is_chosen_beyond_what_was_read() -> None:
    """Behind the end of a line that goes on, nobody knows who comes next."""
    order, _ = chosen(line("a", 3, whole=False), line("b", 3), room=100)
    assert order.count("a.4") == 3
    assert len(order) <= 6
    order, _ = chosen(line("a", 3), line("b", 3), room=100)
    assert len(order) == 6


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_no_task_is_chosen_twice_and_none_is_left_out(data: st.DataObject) -> None:
    """Whatever waits: with room for all, all are chosen once."""
    lines = [
        line(tenant, data.draw(st.integers(1, 5)), level=level,
             waited=data.draw(st.floats(0, 1e6)), cost=data.draw(st.floats(1e-6, 1e6)))
        for tenant in ("a", "b", "c")
        for level in data.draw(st.sets(st.integers(0, 9), min_size=1))
    ]  # fmt: skip
    _, choice = chosen(*lines, room=1000)
    ids = [wakeup.id for wakeup in choice.wakeups]
    assert sorted(ids) == sorted(task.id for each in lines for task in each.tasks)
    assert all(0 <= wakeup.priority <= 9 for wakeup in choice.wakeups)
