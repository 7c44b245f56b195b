"""The life of a task as a picture: when it waited, ran, and waited again. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from taskyard.core.states import TERMINAL, State

WIDTH = 1000.0  # of the picture, in units of its own
_THINNEST = 3.0  # that what was short can still be seen
_MOST_LANES = 25

_WAITING = {
    State.SCHEDULED: "scheduled",
    State.PENDING: "waiting",
    State.QUEUED: "waiting",
    State.RETRYING: "retrying",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A part of a lane: `kind` names its colour, `x` and `width` are its place."""

    kind: str
    x: float
    width: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One attempt with the wait before it; without a number, a wait that no attempt ended.

    `waited` and `ran` are in seconds; `outcome` is the state that it ended with.
    """

    number: int | None
    generation: int
    outcome: State
    spans: tuple[Span, ...]
    waited: float
    ran: float | None
    worker: str | None = None
    error: Mapping[str, Any] | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """The lanes between two instants; `left_out` older ones are not shown."""

    begin: datetime
    end: datetime
    lanes: tuple[Lane, ...]
    left_out: int = 0

    @property
    def seconds(self) -> float:
        """Return how long it lasted."""
        return (self.end - self.begin).total_seconds()


def timeline_of(history: Sequence[Mapping[str, Any]], *, now: datetime) -> Timeline | None:
    """Return the picture of a history, as storage.tasks.events has it; None if it has no length."""
    if not history:
        return None
    ended = State(history[-1]["state"]) in TERMINAL
    last = history[-1]["at"] if ended else max(now, history[-1]["at"])
    if not (lanes := _lanes([*history, {**history[-1], "at": last}])):
        return None
    shown = lanes[-_MOST_LANES:]
    begin = _begin(shown)
    scale = WIDTH / max((last - begin).total_seconds(), 1e-6)
    placed = tuple(_placed(lane, begin, scale) for lane in shown)
    return Timeline(begin=begin, end=last, lanes=placed, left_out=len(lanes) - len(shown))


_Step = tuple[Mapping[str, Any], Mapping[str, Any]]  # an event and the one behind it


def _lanes(history: Sequence[Mapping[str, Any]]) -> list[list[_Step]]:
    """Part the history behind each attempt, and where an end is followed by a replay."""
    lanes: list[list[_Step]] = [[]]
    for event, following in pairwise(history):
        state = State(event["state"])
        if state in TERMINAL:
            continue
        lanes[-1].append((event, following))
        if state == State.RUNNING or State(following["state"]) in TERMINAL:
            lanes.append([])
    return [lane for lane in lanes if lane]


def _begin(lanes: Sequence[Sequence[_Step]]) -> datetime:
    begin = lanes[0][0][0]["at"]
    assert isinstance(begin, datetime)
    return begin


def _placed(lane: Sequence[_Step], begin: datetime, scale: float) -> Lane:
    spans: list[Span] = []
    for event, following in lane:
        state, length = State(event["state"]), (following["at"] - event["at"]).total_seconds()
        kind = _WAITING.get(state) or _ran(following)
        x = (event["at"] - begin).total_seconds() * scale
        if spans and spans[-1].kind == kind and state != State.RUNNING:
            before = spans.pop()
            spans.append(
                replace(before, width=before.width + length * scale,
                        seconds=before.seconds + length)
            )  # fmt: skip
        else:
            spans.append(Span(kind=kind, x=x, width=length * scale, seconds=length))
    event, following = lane[-1]
    runs = State(event["state"]) == State.RUNNING
    return Lane(
        number=event["attempt"] if runs else None,
        generation=event["generation"],
        outcome=State(following["state"]),
        spans=tuple(map(_visible, spans)),
        waited=sum(span.seconds for span in (spans[:-1] if runs else spans)),
        ran=spans[-1].seconds if runs else None,
        worker=event["worker"] if runs else None,
        error=following["error"] if runs else None,
        reason=following["reason"],
    )


def _ran(following: Mapping[str, Any]) -> str:
    return f"ran-{following['state']}"


def _visible(span: Span) -> Span:
    width = min(max(span.width, _THINNEST), WIDTH)
    return replace(span, x=round(max(0.0, min(span.x, WIDTH - width)), 2), width=round(width, 2))
