"""Pressure: how long submissions take in this process, and which share of them it refuses for that.

When more is asked than can be done, everybody would wait longer and longer. New work is refused at
random instead, so much of it that the rest is served in time: PIE (RFC 8033, section 4.2), with
twice its gains, as part of the queue is not ours to see. The delay is what a submission takes once
it has come, and what the event loop is late before that. Who asks for less than others is refused
less, so that one who floods the process bears it.
"""

import asyncio
import random
from collections import Counter

_EVERY = 0.03  # seconds between two looks
TARGET = 0.03  # seconds that submissions may take on average, if nothing else is said
_QUEUE = 16  # submissions at once: of fewer each takes what it takes, on a slow disk, say
_ALPHA, _BETA = 0.25, 2.5  # for a second above the target, and for a second more than before
_BURST = 0.5  # seconds: what is over by then was only a burst
_MOST = 0.98  # somebody always gets in, so that an end of it is seen
_KEEPS = 0.9  # of the share at each look, while nothing takes long
_LOOKS_UNTIL_HALVED = 33  # of what callers have asked for: a second
_MOST_CALLERS = 1_000  # told apart; the others count as one
_OTHERS = 0


class Pressure:
    """The share of new work to refuse, 0 to 1; `target` is in seconds."""

    def __init__(self, target: float = TARGET) -> None:
        self._target = target
        self.share = 0.0
        self._under_way = self._most_under_way = 0
        self._sum, self._count = 0.0, 0
        self._before = 0.0
        self._burst_left = _BURST
        self._asked: Counter[int] = Counter()
        self._looks = 0

    def refuses(self, caller: int) -> bool:
        """Whether to refuse a request, drawn anew for each; `caller` is any hash of who asks."""
        if caller not in self._asked and len(self._asked) >= _MOST_CALLERS:
            caller = _OTHERS
        self._asked[caller] += 1
        if not self.share:
            return False
        fair = self._asked.total() / len(self._asked)
        share = self.share * min(1.0, self._asked[caller] / fair)
        return random.random() < share  # noqa: S311 - it guards nothing

    def begin(self) -> None:
        """Count a submission that comes in."""
        self._under_way += 1
        self._most_under_way = max(self._under_way, self._most_under_way)

    def end(self, seconds: float) -> None:
        """Learn how long a submission took; 0 when its client went before it was answered."""
        self._under_way -= 1
        if not seconds:
            return
        self._sum += seconds
        self._count += 1

    def look(self, *, late: float) -> None:
        """Draw the conclusion from what was learned since the last look, and its lateness."""
        delay = late + (self._sum / self._count if self._count else 0.0)
        if self._most_under_way < _QUEUE:
            delay = 0.0
        if max(delay, self._before) <= self._target:
            self.share = self.share * _KEEPS if self.share > 0.01 else 0.0
            if not self.share:
                self._burst_left = _BURST
        elif self._burst_left > 0.0:
            self._burst_left -= _EVERY
        else:
            grown = self.share + _ALPHA * (delay - self._target) + _BETA * (delay - self._before)
            self.share = min(_MOST, max(0.0, grown))
        self._sum, self._count, self._before = 0.0, 0, delay
        self._most_under_way = self._under_way
        self._looks = (self._looks + 1) % _LOOKS_UNTIL_HALVED
        if not self._looks:
            self._asked = Counter({who: n // 2 for who, n in self._asked.items() if n > 1})

    async def watch(self) -> None:
        """Look, again and again. Never returns."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY
            await asyncio.sleep(_EVERY)
            self.look(late=max(0.0, loop.time() - due))
