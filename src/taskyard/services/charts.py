"""Charts: how much was done, how long it waited and ran, and what of it failed, over a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from taskyard.core.statistics import ENDINGS, RUNS, Change, Durations
from taskyard.storage import statistics
from taskyard.storage.pool import OwnPool, Pool, borrowed, owned_by
from taskyard.storage.statistics import Asked, Sum

OTHERS = "others"
_MOST_NAMED = 7
_FAILURES = (Change.FAILED, Change.EXPIRED, Change.QUARANTINED)
_COUNTED_AFTER = timedelta(seconds=5)
_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time up to now, and the steps it is cut into."""

    length: timedelta
    step: timedelta


STRETCHES = {
    "1h": Stretch(_HOUR, _MINUTE),
    "6h": Stretch(6 * _HOUR, 5 * _MINUTE),
    "24h": Stretch(24 * _HOUR, 15 * _MINUTE),
    "7d": Stretch(timedelta(days=7), 2 * _HOUR),
    "30d": Stretch(timedelta(days=30), 6 * _HOUR),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to chart: of one pool or type, or of all."""

    stretch: Stretch
    pool: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One pool or type: a value for each step, None where there is none.

    `rate` is tasks that ended in a minute; `wait` and `run` are what attempts waited and ran;
    `failed` is the share of tasks that failed, expired or were quarantined, of those that ended
    without being cancelled. `ended` and `failed_of_all` are of the whole time.
    """

    name: str
    ended: int
    failed_of_all: float | None
    rate: tuple[float, ...]
    wait: tuple[Durations | None, ...]
    run: tuple[Durations | None, ...]
    failed: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Charted:
    """The lines over steps that begin at `steps`; the last may not be over yet."""

    steps: tuple[datetime, ...]
    until: datetime
    lines: tuple[Line, ...]


async def chart(pool: Pool | OwnPool, wish: Wish, *, now: datetime) -> Charted:
    """Return what happened to an owner's tasks, or to all: by pool, or by type of one pool.

    Raises StorageUnavailable.
    """
    step = wish.stretch.step
    # Of single minutes the one that is not over would look like a fall.
    until = _floor(now - _COUNTED_AFTER, _MINUTE) if step == _MINUTE else now
    since = _floor(until - wish.stretch.length, step)
    async with borrowed(pool) as connection:
        owner = owned_by(connection) if isinstance(pool, OwnPool) else {"tenant": None}
        asked = Asked(
            since=since,
            until=until,
            step=step.total_seconds(),
            span=1 if step % _HOUR else 60,
            pool=wish.pool,
            type=wish.type,
            **owner,
        )
        by_type = bool(wish.pool or wish.type)
        sums = await statistics.chart(connection, asked, by_type=by_type, most=_MOST_NAMED)
    count = -((since - until) // step)
    steps = tuple(since + number * step for number in range(count))
    return Charted(steps=steps, until=until, lines=tuple(_lines(sums, steps, until)))


def _lines(sums: Iterable[Sum], steps: tuple[datetime, ...], until: datetime) -> Iterable[Line]:
    """Yield the lines in the order of their names, what has none last."""
    by_name: dict[str | None, dict[datetime, dict[Change, Sum]]] = {}
    for each in sums:
        by_name.setdefault(each.name, {}).setdefault(each.at, {})[each.change] = each
    ends = (*steps[1:], until)
    minutes = [max((end - begin) / _MINUTE, 1.0) for begin, end in zip(steps, ends, strict=True)]
    for name in sorted(by_name, key=lambda name: (name is None, name or "")):
        found = [by_name[name].get(step, {}) for step in steps]
        yield Line(
            name=OTHERS if name is None else name,
            ended=sum(_count(each, ENDINGS) for each in found),
            failed_of_all=_failed(*found),
            rate=tuple(
                _count(each, ENDINGS) / length for each, length in zip(found, minutes, strict=True)
            ),
            wait=tuple(_took(each, (Change.STARTED,)) for each in found),
            run=tuple(_took(each, RUNS) for each in found),
            failed=tuple(map(_failed, found)),
        )


_Step = dict[Change, Sum]


def _count(step: _Step, changes: Iterable[Change]) -> int:
    return sum(step[change].count for change in changes if change in step)


def _took(step: _Step, changes: Iterable[Change]) -> Durations | None:
    found = [step[change].durations for change in changes if change in step]
    return sum((each for each in found if each), Durations()) if any(found) else None


def _failed(*steps: _Step) -> float | None:
    counted = [change for change in ENDINGS if change is not Change.CANCELLED]
    ended = sum(_count(step, counted) for step in steps)
    return sum(_count(step, _FAILURES) for step in steps) / ended if ended else None


def _floor(at: datetime, step: timedelta) -> datetime:
    return at - timedelta(seconds=at.timestamp() % step.total_seconds())
