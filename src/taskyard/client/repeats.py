"""When a request is sent again, and how long after."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from taskyard.client.errors import TaskyardProblem, Unreachable
from taskyard.client.exchange import Call, Dialog, Outcome, Pause, Reply, Request, T, problem, read

_UNAVAILABLE = frozenset({429, 503})  # refused for now: nothing was done, unless its code says so
_UNKNOWN = frozenset({408, 500, 502, 504})  # whether anything was done is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How a client goes on while the server does not.

    It sends again for `patience` seconds after the first trouble, and waits before each time: up to
    `base`, then twice as long, at most `cap`, drawn at random so that clients do not come in step;
    never less than the server asks for in Retry-After.
    """

    patience: float = 30.0
    base: float = 0.1
    cap: float = 5.0
    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random

    def trouble(self) -> "Trouble":
        """Return what counts the troubles of one request."""
        return Trouble(self)


@dataclass(slots=True)
class Trouble:
    """The troubles of one request so far."""

    repeats: Repeats
    count: int = 0
    gives_up_at: float = field(default=0.0)

    def pause(self, *, at_least: float = 0.0) -> Pause | None:
        """Return the wait after one more trouble; None when patience is used up."""
        repeats = self.repeats
        now = repeats.clock()
        if not self.count:
            self.gives_up_at = now + repeats.patience
        longest = min(repeats.cap, repeats.base * 2**self.count)
        self.count = min(self.count + 1, 30)
        # Full jitter from half of it on: never at once, never all together.
        wait = max(at_least, longest / 2) + repeats.chance() * longest / 2
        return Pause(wait) if now + wait <= self.gives_up_at else None

    def over(self) -> None:
        """The server answers again."""
        self.count = 0


def may_repeat(request: Request, outcome: Outcome) -> bool:
    """Whether sending again can help and can do no harm."""
    if not isinstance(outcome, Reply):
        return request.safe or not outcome.sent
    if outcome.status in _UNAVAILABLE:
        return request.safe or problem(outcome).code not in ("outcome-unknown", "unintelligible")
    return request.safe and outcome.status in _UNKNOWN


def retry_after(outcome: Outcome) -> float:
    """Return the seconds that the server asks to wait (RFC 9110, section 10.2.3); 0 if it does not.

    Taskyard sends seconds; a date, which a proxy might send, is passed over.
    """
    given = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
    return float(given) if given.isascii() and given.isdigit() else 0.0


def ask(call: Call[T], repeats: Repeats) -> Dialog[T]:
    """Send a request until it is answered. Raises TaskyardProblem, Unreachable."""
    reply = yield from answered(call.request, repeats)
    return read(reply, call.answer)


def answered(request: Request, repeats: Repeats) -> Dialog[Reply]:
    """Send a request until it is answered for good. Raises TaskyardProblem, Unreachable."""
    trouble = repeats.trouble()
    while True:
        outcome = yield request
        assert outcome is not None
        pause = None
        if may_repeat(request, outcome):
            pause = trouble.pause(at_least=retry_after(outcome))
        if pause is None:
            return _settled(outcome)
        yield pause


def _settled(outcome: Outcome) -> Reply:
    if isinstance(outcome, Reply):
        if outcome.status >= 300:
            raise TaskyardProblem(problem(outcome))
        return outcome
    raise Unreachable(outcome.why)
