"""How fast a stack recovered in a drill. Pure: from its history and what struck when."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from taskyard.core.states import State
from taskyard.drill.history import EventRow, History, Kind, Struck, grouped

# What a lost attempt's event says as its reason.
_LOST = frozenset({"worker-lost"})


def taken_back_after(history: History, struck: Sequence[Struck], *faults: str) -> float | None:
    """Return the longest time from a fault until what it had interrupted was due again, in s.

    None when it interrupted nothing.
    """
    return max((back for back, _ in _interrupted(history, struck, faults)), default=None)


def attempt_after(history: History, struck: Sequence[Struck], *faults: str) -> float | None:
    """Return the longest time from a fault to the next attempt of what it had interrupted, in s.

    That attempt has waited its turn in the queue. None when it interrupted nothing.
    """
    return max((again for _, again in _interrupted(history, struck, faults)), default=None)


def _interrupted(
    history: History, struck: Sequence[Struck], faults: Sequence[str]
) -> Iterator[tuple[float, float]]:
    lives = grouped(history.events, lambda event: event.task_id).values()
    for one in struck:
        if one.name in faults:
            struck_at = history.wall(one.struck_at)
            yield from (wait for life in lives if (wait := _waits(life, struck_at)))


def _waits(life: list[EventRow], struck_at: float) -> tuple[float, float] | None:
    """Return how long one task was down, if the fault interrupted it, and for the first time.

    From the second time on there is a wait by design.
    """
    events = sorted(life, key=lambda event: event.seq)
    for at, (one, ended) in enumerate(pairwise(events)):
        if one.state is not State.RUNNING or ended.reason not in _LOST:
            continue
        again = [each for each in events[at + 1 :] if each.state is State.RUNNING]
        if again and one.at.timestamp() <= struck_at <= ended.at.timestamp():
            return ended.at.timestamp() - struck_at, again[0].at.timestamp() - struck_at
        return None
    return None


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
