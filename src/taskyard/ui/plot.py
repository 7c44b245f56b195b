"""Lines as a picture: where the points are, in a plane of its own, and what the axes say. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from math import floor, log10

WIDTH, HEIGHT = 1000.0, 200.0  # of the picture, in units of its own
_TICKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line: its pieces between gaps as `points` of SVG, and in numbers what it shows."""

    name: str
    pieces: tuple[str, ...]
    values: tuple[float | None, ...]

    @property
    def last(self) -> float | None:
        """The newest value that there is."""
        return next((each for each in reversed(self.values) if each is not None), None)

    @property
    def most(self) -> float | None:
        """The largest value."""
        return max((each for each in self.values if each is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Curves below `top`, and the times along them."""

    top: float
    curves: tuple[Curve, ...]
    times: tuple[datetime, ...]

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return all(curve.most is None for curve in self.curves)


Values = Sequence[float | None]


def plot_of(
    lines: Sequence[tuple[str, Values]],
    steps: Sequence[datetime],
    until: datetime,
    *,
    highest: float | None = None,
) -> Plot:
    """Return the picture of lines with a value for each step; none goes above `highest`."""
    values = [each for _, line in lines for each in line if each is not None]
    top = rounded_up(max(values, default=0.0))
    top = top if highest is None else min(top, highest)
    curves = tuple(
        Curve(name=name, pieces=tuple(_pieces(line, top)), values=tuple(line))
        for name, line in lines
    )
    length = until - steps[0]
    times = tuple(steps[0] + length * tick / (_TICKS - 1) for tick in range(_TICKS))
    return Plot(top=top, curves=curves, times=times)


def rounded_up(value: float) -> float:
    """Return the next number that is easy to read.

    >>> [rounded_up(each) for each in (0, 0.03, 0.7, 1, 1.2, 17, 260, 8001)]
    [1.0, 0.05, 1.0, 1.0, 2.0, 20.0, 500.0, 10000.0]
    """
    if value <= 0:
        return 1.0
    unit = 10.0 ** floor(log10(value))
    # 0.07 / 0.01 is a little more than 7: what is that near is equal.
    step = next(each for each in (1, 2, 5, 10) if value <= each * unit * (1 + 1e-9))
    return float(f"{step * unit:.3g}")


def _pieces(values: Values, top: float) -> Iterator[str]:
    """Yield what is drawn without a break; a step that is alone is a dot, a line of no length."""
    width = WIDTH / max(len(values), 1)
    points = [
        None if value is None else f"{(n + 0.5) * width:.1f},{HEIGHT * (1 - value / top):.1f}"
        for n, value in enumerate(values)
    ]
    for there, piece in groupby(points, lambda point: point is not None):
        if there:
            found = [point for point in piece if point is not None]
            yield " ".join(found if len(found) > 1 else found * 2)
