"""Pressure: how many submissions this process works on at once, and whom it refuses beyond that.

When more is asked than can be done, everybody would wait longer and longer. How many may be under
way follows from how long they take: a cut when that is more than the target, in the proportion in
which it is, and then more again, bit by bit (AIMD: Chiu and Jain, 1989; the limit on concurrency is
that of Little's law, as in Netflix's concurrency-limits). There is no queue before it: what is
beyond the limit is refused at once, so a refusal is quick whatever the load.

Part of the time is not a wait for each other: on a slow disk each takes what it takes. So the time
that few at once take is learned, and more than half as much again is what says that they queue.

The room is shared: a caller that has less than its share of it under way is let in up to a hard
end, so one who floods the process bears it. A body that comes slowly takes no room until then.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

_EVERY = 0.03  # seconds between two looks
TARGET = 0.03  # seconds that submissions may take on average, if nothing else is said
_FEW = 16  # submissions at once: of fewer each takes what it takes, on a slow disk, say
_MOST = 1_000.0
_GROWTH = 1 / 16  # of the limit at each look at which nothing takes long
_DEEPEST_CUT = 0.5
_HARD_END = 1.25  # of the limit: up to it for callers with less than their share
_TOLERATED = 1.5  # times what few at once take
_COMES_WITHIN = 0.1  # seconds: a body that takes longer waits for its client, not for us
_LEARNS, _FORGETS = 0.2, 0.005  # at each look: what few at once take, half of it in four seconds


class Pressure:
    """The limit of submissions under way at once, each new one told; `target` is in seconds."""

    def __init__(
        self, target: float = TARGET, *, on_change: Callable[[float], None] = lambda _: None
    ) -> None:
        self._target = target
        self._on_change = on_change
        self.limit = _MOST
        self._callers: Counter[int] = Counter()
        self._under_way = self._most_under_way = 0
        self._sum, self._count = 0.0, 0
        self._of_few = 0.0
        self._cuts = 0
        on_change(self.limit)

    def refuses(self, caller: int, *, counted: bool = True) -> bool:
        """Whether to refuse new work; `caller` is any hash of who asks.

        What is not counted as under way has no share of its own.
        """
        if self._under_way < self.limit:
            return False
        if not counted or self._under_way >= self.limit * _HARD_END:
            return True
        has = self._callers[caller]
        return has * (len(self._callers) + (not has)) >= self.limit

    def visit(self, caller: int) -> "Visit":
        """Return a submission that is let in."""
        return Visit(self, caller)

    def enter(self, caller: int) -> int:
        """Count a submission as under way; return how often the limit was cut so far."""
        self._callers[caller] += 1
        self._under_way += 1
        self._most_under_way = max(self._under_way, self._most_under_way)
        return self._cuts

    def leave(self, caller: int, *, cuts: int = -1, seconds: float = 0.0) -> None:
        """Count it no more; learn how long it took, if it came after the last cut.

        What came before says nothing of what that cut did.
        """
        self._under_way -= 1
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        if seconds and cuts == self._cuts:
            self._sum += seconds
            self._count += 1

    def look(self, *, late: float) -> None:
        """Draw the conclusion from what was learned since the last look, and its lateness."""
        before = self.limit
        most, self._most_under_way = self._most_under_way, self._under_way
        delay = late + self._sum / self._count if self._count else 0.0
        self._sum, self._count = 0.0, 0
        if most > _FEW:
            self._of_few *= 1 - _FORGETS
        elif delay:
            self._of_few += _LEARNS * (delay - self._of_few)
        target = max(self._target, _TOLERATED * self._of_few)
        if delay <= target:
            self.limit = min(_MOST, self.limit * (1 + _GROWTH))
        elif most > _FEW:
            cut = max(_DEEPEST_CUT, target / delay)
            self.limit = max(float(_FEW), min(self.limit, most) * cut)
            self._cuts += 1
        if self.limit != before:
            self._on_change(self.limit)

    async def watch(self) -> None:
        """Look, again and again. Never returns."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.look(late=max(0.0, loop.time() - due))


class Visit:
    """One submission: under way from its beginning, but not while its body is long in coming."""

    def __init__(self, pressure: Pressure, caller: int) -> None:
        self._pressure, self._caller = pressure, caller
        self._cuts = pressure.enter(caller)
        self._counts = True
        loop = asyncio.get_running_loop()
        self._impatient = loop.call_later(_COMES_WITHIN, self._step_aside)

    def _step_aside(self) -> None:
        self._counts = False
        self._pressure.leave(self._caller)

    def came(self) -> None:
        """Note that its body is whole."""
        self._impatient.cancel()
        if not self._counts:
            self._cuts, self._counts = self._pressure.enter(self._caller), True

    def end(self, seconds: float) -> None:
        """Note that it was answered after so many seconds; 0 when its client went before."""
        self._impatient.cancel()
        if self._counts:
            self._pressure.leave(self._caller, cuts=self._cuts, seconds=seconds)
