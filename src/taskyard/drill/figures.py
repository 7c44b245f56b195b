"""How fast a stack recovered in a drill. Pure: from its history and what struck when."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from taskyard.core.states import State
from taskyard.drill.history import EventRow, History, Kind, Struck, grouped

# What a lost attempt's event says as its reason.
_LOST = frozenset({"worker-lost"})


def attempt_after(history: History, struck: Sequence[Struck], fault: str) -> float | None:
    """Return the longest time from a fault to the next attempt of what it had interrupted, in s.

    None when it interrupted nothing.
    """
    waits = [
        wait
        for one in struck
        if one.name == fault
        for life in grouped(history.events, lambda event: event.task_id).values()
        for wait in _waits(life, history.wall(one.struck_at))
    ]
    return max(waits, default=None)


def _waits(life: list[EventRow], struck_at: float) -> Iterator[float]:
    events = sorted(life, key=lambda event: event.seq)
    starts = [event for event in events if event.state is State.RUNNING]
    for one, next_ in pairwise(starts):
        ended = events[one.seq]  # numbers begin at 1, so this is the one after
        lost = ended.state is State.RETRYING and ended.reason in _LOST
        if lost and one.at.timestamp() <= struck_at <= ended.at.timestamp():
            yield next_.at.timestamp() - struck_at


def dispatch_after(history: History, struck: Sequence[Struck], *faults: str) -> float | None:
    """Return the longest time from a heal to the first wake-up that the broker confirmed, in s."""
    queued = sorted(e.at.timestamp() for e in history.events if e.state is State.QUEUED)
    return _first_after(struck, faults, queued, history)


def accepted_after(history: History, struck: Sequence[Struck], *faults: str) -> float | None:
    """Return the longest time from a heal to the first 202, in s."""
    accepted = sorted(history.wall(entry.at) for entry in history.entries if entry.kind is Kind.OK)
    return _first_after(struck, faults, accepted, history)


def _first_after(
    struck: Sequence[Struck], faults: Sequence[str], times: Sequence[float], history: History
) -> float | None:
    waits = []
    for one in struck:
        healed_at = history.wall(one.healed_at)
        later = [at - healed_at for at in times if at >= healed_at]
        if one.name in faults and later:
            waits.append(min(later))
    return max(waits, default=None)
