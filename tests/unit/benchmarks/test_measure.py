"""How systems are compared."""

from collections.abc import Callable, Sequence

from benchmarks.load import LoadFailed
from benchmarks.measure import Contender, Match, Metric, compare

_RATE = Metric(name="rate", unit="tasks/s")
_TIME = Metric(name="time", unit="ms", higher_is_better=False)


def _scripted(
    name: str, values: Sequence[float], order: list[str]
) -> Callable[[], Sequence[float]]:
    left = iter(values)

    def measure() -> Sequence[float]:
        order.append(name)
        value = next(left)
        return value, 1 / value

    return measure


def test_all_take_turns_and_medians_are_compared() -> None:
    """Who begins changes from round to round; a ratio above 1 is in our favour, for times too."""
    order: list[str] = []
    ours = Contender("ours", _scripted("ours", [4.0, 100.0, 6.0], order))
    peer = Contender("peer", _scripted("peer", [2.0, 3.0, 1.0], order), {"rate": 2.5, "time": 4.0})

    rate, time = compare(
        Match("work", [_RATE, _TIME], [ours, peer]), rounds=3, say=lambda _text: None
    )

    assert order == ["ours", "peer", "peer", "ours", "ours", "peer"]
    assert (rate.ours, rate.theirs, rate.ratio, rate.met) == (6.0, 2.0, 3.0, True)
    assert (round(time.ratio, 6), time.met) == (3.0, False)


def test_a_peer_that_cannot_do_the_work_is_left_out_and_that_is_said() -> None:
    """The others go on."""
    order: list[str] = []

    def fails() -> Sequence[float]:
        raise LoadFailed("12 refused")

    contenders = [
        Contender("ours", _scripted("ours", [4.0, 4.0], order)),
        Contender("broken", fails),
        Contender("peer", _scripted("peer", [2.0, 2.0], order)),
    ]
    said: list[str] = []

    found = compare(Match("work", [_RATE, _TIME], contenders), rounds=2, say=said.append)

    assert [each.peer for each in found] == ["peer", "peer"]
    assert "  broken is left out: 12 refused" in said
