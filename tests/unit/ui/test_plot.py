"""ui/plot.py: where the points of a line are."""

from datetime import UTC, datetime, timedelta

import pytest

from taskyard.ui.plot import plot_of, rounded_up

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STEPS = tuple(START + timedelta(minutes=n) for n in range(4))
UNTIL = START + timedelta(minutes=4)


def test_a_line_breaks_where_there_is_nothing() -> None:
    """What is alone is a dot; zero is a value."""
    plot = plot_of([("a", (0.0, None, 1.0, 2.0)), ("b", (None, 1.0, None, None))], STEPS, UNTIL)
    assert plot.top == 2.0
    a, b = plot.curves
    assert a.pieces == ("125.0,200.0 125.0,200.0", "625.0,100.0 875.0,0.0")
    assert b.pieces == ("375.0,100.0 375.0,100.0",)
    assert (a.last, a.most, b.last, b.most) == (2.0, 2.0, 1.0, 1.0)
    assert plot.times == (*STEPS, UNTIL)
    assert not plot.empty


def test_nothing_at_all_is_empty() -> None:
    """Neither lines, nor values."""
    assert plot_of([], STEPS, UNTIL).empty
    assert plot_of([("a", (None, None, None, None))], STEPS, UNTIL).empty


def test_a_share_has_a_highest_value() -> None:
    """All of them is 100 %, not 200."""
    assert plot_of([("a", (1.0, 0.6, 0.0, 0.0))], STEPS, UNTIL, highest=1.0).top == 1.0


@pytest.mark.parametrize("value", [1e-9, 0.07, 0.3, 1, 4.999, 5, 99, 1e6, 123_456_789])
def test_no_value_is_above_the_top(value: float) -> None:
    """And none is far below: a fifth at least."""
    assert value <= rounded_up(value) * (1 + 1e-6)
    assert rounded_up(value) <= 5 * value
