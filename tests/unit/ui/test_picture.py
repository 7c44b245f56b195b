"""ui/picture.py: what is drawn stays within its bounds, whatever flows."""

from hypothesis import given, settings
from hypothesis import strategies as st

from taskyard.core.flow import PoolFlow, Rates, YardFlow
from taskyard.ui.picture import line_width, picture_of

_MANY = st.integers(min_value=0, max_value=10**7)
_RATE = st.floats(min_value=0, max_value=10**6)
_COUNTS = st.dictionaries(st.integers(min_value=0, max_value=9), _MANY)
_POOLS = st.builds(
    PoolFlow,
    name=st.text(max_size=9), slots=_MANY, running=_MANY, window=_MANY, waiting=_COUNTS,
    held=_COUNTS, rates=st.builds(Rates, accepted=_RATE, started=_RATE),
)  # fmt: skip
_YARDS = st.builds(
    YardFlow,
    pools=st.lists(_POOLS, max_size=4).map(tuple),
    broker_up=st.booleans(), silent=st.none() | _RATE, from_events=_RATE,
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(_YARDS)
def test_everything_is_within_its_box(yard: YardFlow) -> None:
    """Queues are never overfull, slots fit their pool, and lanes lie between top and bottom."""
    picture = picture_of(yard)
    for lane in picture.lanes:
        assert 36 <= lane.y <= picture.height - 36
        assert all(each.x >= -0.1 and each.x + each.width <= 240.1 for each in lane.segments)
        assert sum(each.count for each in lane.segments) == lane.pool.due
        assert all(each.width >= 0 and each.x + each.width <= 198 for each in lane.slots)
        assert all(each.y <= 28 for each in lane.slots)


@given(_RATE, _RATE)
def test_more_is_never_drawn_thinner(one: float, other: float) -> None:
    """And even nothing is a line."""
    less, more = sorted((one, other))
    assert 1.5 <= line_width(less) <= line_width(more) <= 16.0


def test_the_most_urgent_stand_nearest_to_the_pool() -> None:
    """Whether the broker holds them or they wait for room."""
    pool = PoolFlow(name="p", window=10, waiting={0: 5, 9: 1}, held={9: 2, 4: 2})
    [lane] = picture_of(YardFlow(pools=(pool,), broker_up=True, silent=0.0)).lanes
    drawn = [(each.priority, each.count, each.urgency) for each in lane.segments]
    assert drawn == [(9, 3, "high"), (4, 2, "middle"), (0, 5, "low")]
    assert lane.segments[0].x + lane.segments[0].width == 240
    assert lane.segments[-1].x == 120
