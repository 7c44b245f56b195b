"""The picture of the yard: where lines run, and how wide; all lengths in units of the SVG."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from taskyard.core.flow import PoolFlow, YardFlow

WIDTH = 1000
_ROW, _TOP = 92, 34
_SOURCE_RIGHT, _EXCHANGE_LEFT, _EXCHANGE_RIGHT = 150, 262, 362
_QUEUE_LEFT, _QUEUE_RIGHT, _POOL_LEFT = 452, 712, 778
_BAR = 240  # of a queue, however much waits
_SLOT, _SLOTS_IN_ROW, _MOST_SLOTS = 14, 14, 28
_THINNEST, _WIDEST = 1.5, 16.0
_LEAST_ROOM = 8  # tasks; a queue with few in it looks nearly empty


@dataclass(frozen=True, slots=True)
class Line:
    """A way of tasks; `speed` is 0 to 3, 0 while nothing moves."""

    path: str
    width: float
    speed: int


@dataclass(frozen=True, slots=True)
class Segment:
    """Tasks of one priority in a queue."""

    x: float
    width: float
    priority: int
    count: int

    @property
    def urgency(self) -> str:
        """Low, middle or high: more cannot be told apart at a glance."""
        return ("low", "middle", "high")[(self.priority > 3) + (self.priority > 6)]


@dataclass(frozen=True, slots=True)
class Slot:
    """A slot, or a stretch of many of them."""

    x: float
    y: float
    width: float
    busy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One pool: the line to its queue, the queue, the line to its slots, and these."""

    pool: PoolFlow
    y: float
    to_queue: Line
    to_pool: Line
    segments: tuple[Segment, ...]
    slots: tuple[Slot, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """The whole; `middle` is the height of the exchange."""

    height: float
    middle: float
    from_http: Line
    from_events: Line
    lanes: tuple[Lane, ...]


def picture_of(flow: YardFlow) -> Picture:
    """Return the picture of a flow."""
    height = _TOP + max(2, len(flow.pools)) * _ROW
    middle = _TOP + (height - _TOP) / 2
    http = max(0.0, flow.rates.accepted - flow.from_events)
    return Picture(
        height=height,
        middle=middle,
        from_http=_line(_SOURCE_RIGHT, middle - 46, _EXCHANGE_LEFT, middle, http),
        from_events=_line(_SOURCE_RIGHT, middle + 46, _EXCHANGE_LEFT, middle, flow.from_events),
        lanes=tuple(_lane(pool, _height(n, flow, middle), middle) for n, pool in _rows(flow)),
    )


def _rows(flow: YardFlow) -> Iterator[tuple[int, PoolFlow]]:
    return enumerate(flow.pools)


def _height(number: int, flow: YardFlow, middle: float) -> float:
    """A single pool stands in the middle."""
    return middle if len(flow.pools) == 1 else _TOP + number * _ROW + _ROW / 2


def _lane(pool: PoolFlow, y: float, middle: float) -> Lane:
    return Lane(
        pool=pool,
        y=y,
        to_queue=_line(_EXCHANGE_RIGHT, middle, _QUEUE_LEFT, y, pool.rates.accepted),
        to_pool=_line(_QUEUE_RIGHT, y, _POOL_LEFT, y, pool.rates.started),
        segments=tuple(_segments(pool)),
        slots=tuple(_slots(pool)),
    )


def _line(x1: float, y1: float, x2: float, y2: float, rate: float) -> Line:
    bend = (x1 + x2) / 2
    path = f"M{x1:g},{y1:g} C{bend:g},{y1:g} {bend:g},{y2:g} {x2:g},{y2:g}"
    return Line(path=path, width=line_width(rate), speed=_speed(rate))


def line_width(rate: float) -> float:
    """Return how wide a line is: ten times the rate is always as much wider."""
    return round(min(_WIDEST, _THINNEST + 4.0 * math.log10(1.0 + max(0.0, rate))), 1)


def _speed(rate: float) -> int:
    return 0 if rate < 0.05 else 1 if rate < 1 else 2 if rate < 30 else 3


def _segments(pool: PoolFlow) -> Iterator[Segment]:
    """Stand the most urgent nearest to the pool; the bar is never full, however much waits."""
    counts = _together(pool.waiting, pool.held)
    if not pool.due:
        return
    whole = _BAR * pool.due / (pool.due + max(pool.window, _LEAST_ROOM))
    right = float(_BAR)
    for priority in sorted(counts, reverse=True):
        width = round(whole * counts[priority] / pool.due, 2)
        right -= width
        yield Segment(round(right, 2), width, priority, counts[priority])


def _together(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {each: one.get(each, 0) + other.get(each, 0) for each in one.keys() | other.keys()}


def _slots(pool: PoolFlow) -> Iterator[Slot]:
    if pool.slots > _MOST_SLOTS:
        width = float(_SLOT * _SLOTS_IN_ROW)
        busy = round(width * min(1.0, pool.running / pool.slots), 1)
        yield Slot(0, 0, busy, True)
        yield Slot(busy, 0, round(width - busy, 1), False)
        return
    for number in range(pool.slots):
        row, column = divmod(number, _SLOTS_IN_ROW)
        yield Slot(column * _SLOT, row * _SLOT, _SLOT - 3, number < pool.running)
