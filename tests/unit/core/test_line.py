"""core/line.py: who goes next, and who gets what room there is."""

from collections.abc import Sequence
from itertools import count
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.limits import Limit
from taskyard.core.line import Turn, Waiter, allot, in_turn
from taskyard.core.principal import TenantId

LIMITS = {
    "pay": (Limit(name="r", concurrency=9), Limit(name="t", concurrency=9)),
    "refund": (Limit(name="r", concurrency=9),),
    "free": (),
}
FRESH = Turn(spent=0.0, weight=1.0, now=0.0)


def limits_of(task_type: str) -> Sequence[Limit]:
    return LIMITS[task_type]


def waiter(
    number: int, kind: str = "refund", line: str = "r", tenant: str = "a", priority: int = 4
) -> Waiter:
    return Waiter(
        id=UUID(int=number), type=kind, waits_for=line, tenant=TenantId(tenant), priority=priority
    )


def turns_of(waiters: Sequence[Waiter], **weights: float) -> dict[tuple[str, TenantId], Turn]:
    return {
        (each.waits_for, each.tenant): Turn(
            spent=0.0, weight=weights.get(each.tenant, 1.0), now=0.0
        )
        for each in waiters
    }


@given(
    st.lists(st.tuples(st.sampled_from(sorted(LIMITS)), st.sampled_from("rt")), max_size=30),
    st.fixed_dictionaries({}, optional={"r": st.integers(0, 9), "t": st.integers(0, 9)}),
)
def test_no_limit_is_given_more_than_its_room(
    line: list[tuple[str, str]], rooms: dict[str, int]
) -> None:
    """And nobody waits who could go, or waits for a limit that has room."""
    waiters = [waiter(number, kind, name) for number, (kind, name) in enumerate(line)]
    turns = turns_of(waiters)
    given_ = allot(in_turn(waiters, turns), turns=turns, limits_of=limits_of, rooms=rooms)
    left = dict(rooms)
    for each in given_.released:
        for limit in limits_of(each.type):
            left[limit.name] -= 1
    assert all(room >= 0 for room in left.values())
    for each in set(waiters) - set(given_.released):
        names = {limit.name for limit in limits_of(each.type)}
        assert any(left.get(name, 0) < 1 for name in names)
        assert given_.moved.get(each.id, each.waits_for) in names


def test_who_needs_two_limits_takes_the_room_of_neither_while_one_is_full() -> None:
    """It waits for the full one, and the next in line goes."""
    pay, refund = waiter(1, "pay"), waiter(2)
    turns = turns_of([pay])
    ordered = in_turn([pay, refund], turns)
    both = allot(ordered, turns=turns, limits_of=limits_of, rooms={"r": 1, "t": 1})
    assert both.released == (pay,)
    one = allot(ordered, turns=turns, limits_of=limits_of, rooms={"r": 1, "t": 0})
    assert (one.released, one.moved) == ((refund,), {pay.id: "t"})


def test_tenants_take_turns_however_much_one_of_them_has() -> None:
    """Urgency comes before turns, and age decides among those of one tenant."""
    numbers = count(1)
    noisy = [waiter(next(numbers), tenant="noisy") for _ in range(50)]
    quiet = [waiter(next(numbers), tenant="quiet") for _ in range(2)]
    urgent = waiter(next(numbers), tenant="noisy", priority=9)
    waiters = [urgent, *noisy, *quiet]
    order = [each for _, each in in_turn(waiters, turns_of(waiters))]
    assert order[:5] == [urgent, quiet[0], noisy[0], quiet[1], noisy[1]]


def test_a_tenant_with_more_weight_has_more_turns() -> None:
    """Three to one, over many passes that each release one."""
    waiters = [waiter(n, tenant=tenant) for n, tenant in enumerate(["a", "b"] * 40)]
    turns, had = turns_of(waiters, a=3.0), {"a": 0, "b": 0}
    for _ in range(40):
        ordered = in_turn(waiters, turns)
        given_ = allot(ordered, turns=turns, limits_of=limits_of, rooms={"r": 1})
        [released] = given_.released
        had[released.tenant] += 1
        waiters.remove(released)
        turns = {
            whose: Turn(spent=given_.spent.get(whose, turn.spent), weight=turn.weight,
                        now=given_.now["r"])
            for whose, turn in turns.items()
        }  # fmt: skip
    assert had == {"a": 30, "b": 10}


def test_who_was_away_has_saved_nothing_up() -> None:
    """A tenant that comes back takes turns with the others; it does not make up for its absence."""
    waiters = [waiter(n, tenant=tenant) for n, tenant in enumerate(["back"] * 5 + ["busy"] * 5)]
    turns = {
        ("r", TenantId("busy")): Turn(spent=1000.0, weight=1.0, now=1000.0),
        ("r", TenantId("back")): Turn(spent=3.0, weight=1.0, now=1000.0),
    }
    order = [each.tenant for _, each in in_turn(waiters, turns)]
    assert order[:4] == ["back", "busy", "back", "busy"]
