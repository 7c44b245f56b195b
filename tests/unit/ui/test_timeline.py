"""ui.timeline: the picture is the history."""

from datetime import UTC, datetime, timedelta
from typing import Any

from taskyard.core.states import State
from taskyard.ui.timeline import WIDTH, timeline_of

BEGIN = datetime(2026, 1, 31, tzinfo=UTC)


def history(*steps: tuple[float, str], **more: Any) -> list[dict[str, Any]]:
    """Events at so many seconds; attempts are counted as claims would."""
    events, attempt = [], 0
    for seconds, state in steps:
        attempt += state == "running"
        events.append({
            "at": BEGIN + timedelta(seconds=seconds), "state": state, "attempt": attempt,
            "generation": 1, "worker": "w", "reason": None, "error": None, **more,
        })  # fmt: skip
    return events


def at(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def test_each_attempt_is_a_lane_with_the_wait_before_it() -> None:
    """Lengths are as the times are; pending and queued are one wait."""
    line = timeline_of(
        history(
            (0, "pending"), (1, "queued"), (2, "running"), (5, "retrying"), (9, "pending"),
            (9, "running"), (10, "succeeded"),
        ),
        now=at(99),
    )  # fmt: skip
    assert line is not None
    assert (line.begin, line.end, line.seconds) == (at(0), at(10), 10)
    first, second = line.lanes
    assert (first.number, first.waited, first.ran, first.outcome) == (1, 2, 3, State.RETRYING)
    assert [(span.kind, span.x, span.width) for span in first.spans] == [
        ("waiting", 0, 200), ("ran-retrying", 200, 300),
    ]  # fmt: skip
    assert (second.number, second.waited, second.ran) == (2, 4, 1)
    assert [span.kind for span in second.spans] == ["retrying", "waiting", "ran-succeeded"]


def test_what_goes_on_lasts_until_now() -> None:
    """A running attempt has no end yet; neither has a wait."""
    runs = timeline_of(history((0, "pending"), (1, "running")), now=at(4))
    assert runs is not None
    assert (runs.end, runs.lanes[0].ran, runs.lanes[0].outcome) == (at(4), 3, State.RUNNING)
    waits = timeline_of(history((0, "scheduled")), now=at(4))
    assert waits is not None
    assert (waits.lanes[0].number, waits.lanes[0].waited, waits.lanes[0].ran) == (None, 4, None)


def test_the_time_between_an_end_and_a_replay_is_nobodys() -> None:
    """An end is followed by another lane, not by a wait."""
    line = timeline_of(
        history((0, "pending"), (2, "cancelled"), (50, "pending"), (60, "running"), (70, "failed")),
        now=at(99),
    )
    assert line is not None
    assert [(lane.number, lane.waited) for lane in line.lanes] == [(None, 2), (1, 10)]


def test_the_shortest_is_seen_and_nothing_leaves_the_picture() -> None:
    """A millisecond among days, at the very end too; and all at one instant."""
    day = 86_400.0
    for steps in (
        ((0, "pending"), (day, "running"), (day + 0.001, "failed")),
        ((0, "pending"), (0, "running"), (0, "succeeded")),
    ):
        line = timeline_of(history(*steps), now=at(0))
        assert line is not None
        for span in line.lanes[0].spans:
            assert span.width >= 3
            assert span.x >= 0
            assert span.x + span.width <= WIDTH


def test_of_many_attempts_the_newest_are_shown() -> None:
    """And how many are not."""
    steps = [(n, state) for n in range(100) for state in ("pending", "running", "retrying")]
    line = timeline_of(history(*steps, (100, "expired")), now=at(0))
    assert line is not None
    assert (len(line.lanes), line.left_out) == (25, 76)
    assert line.lanes[-1].number is None


def test_nothing_happened_is_no_picture() -> None:
    """Also where only the end is known."""
    assert timeline_of([], now=at(0)) is None
    assert timeline_of(history((0, "failed")), now=at(0)) is None
