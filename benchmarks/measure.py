"""What is measured, and how two systems are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol, TypeVar

from benchmarks.load import LoadFailed

S_contra = TypeVar("S_contra", contravariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of a case. `target` is what our median is to reach.

    One that is not compared says under which conditions the others were measured.
    """

    name: str
    unit: str
    higher_is_better: bool = True
    compared: bool = True
    target: float | None = None


class Case(Protocol[S_contra]):
    """One kind of work."""

    @property
    def title(self) -> str:
        """What is done, in a line."""
        ...

    @property
    def metrics(self) -> Sequence[Metric]:
        """What `measure` returns, in this order."""
        ...

    def measure(self, system: S_contra) -> Sequence[float]:
        """Do the work once; leave the system empty and idle."""
        ...


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes part: `measure` does the work once.

    `aims` are the ratios that we are to reach against it, by the names of metrics.
    """

    name: str
    measure: Callable[[], Sequence[float]]
    aims: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """A case and who takes part in it; the first is ours."""

    title: str
    metrics: Sequence[Metric]
    contenders: Sequence[Contender]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of both systems, a value for each round."""

    case: str
    metric: Metric
    ours_is: str
    peer: str
    aim: float | None
    our_values: tuple[float, ...]
    peer_values: tuple[float, ...]

    @property
    def ours(self) -> float:
        """The median of our rounds."""
        return median(self.our_values)

    @property
    def theirs(self) -> float:
        """The median of the peer's rounds."""
        return median(self.peer_values)

    @property
    def ratio(self) -> float:
        """How many times better our median is; below 1 the peer is better."""
        return self.ours / self.theirs if self.metric.higher_is_better else self.theirs / self.ours

    @property
    def met(self) -> bool | None:
        """Whether each target of the metric is reached, or None when it has none."""
        metric, verdicts = self.metric, []
        if metric.target is not None:
            better = self.ours >= metric.target
            verdicts.append(better if metric.higher_is_better else self.ours <= metric.target)
        if self.aim is not None:
            verdicts.append(self.ratio >= self.aim)
        return all(verdicts) if verdicts else None


def compare(match: Match, *, rounds: int, say: Callable[[str], None]) -> list[Comparison]:
    """Measure all in turn, once a round, so that what else the machine does meets all alike.

    The first is ours. Who begins changes from round to round. One of the others that cannot do the
    work is left out, and that is said.
    """
    values = _measured(match, rounds, say)
    ours, *others = match.contenders
    return [
        Comparison(
            case=match.title,
            metric=metric,
            ours_is=ours.name,
            peer=other.name,
            aim=other.aims.get(metric.name),
            our_values=tuple(row[i] for row in values[ours.name]),
            peer_values=tuple(row[i] for row in values[other.name]),
        )
        for other in others
        if other.name in values
        for i, metric in enumerate(match.metrics)
    ]


def _measured(
    match: Match, rounds: int, say: Callable[[str], None]
) -> dict[str, list[Sequence[float]]]:
    """Return the values of each round by name, without those who could not do the work."""
    ours, *_ = contenders = match.contenders
    values: dict[str, list[Sequence[float]]] = {each.name: [] for each in contenders}
    for number in range(rounds):
        first = number % len(contenders)
        for each in (*contenders[first:], *contenders[:first]):
            if each.name not in values:
                continue
            try:
                values[each.name].append(each.measure())
            except (LoadFailed, TimeoutError) as error:
                if each is ours:
                    raise
                say(f"  {each.name} is left out: {error}")
                del values[each.name]
                continue
            say(f"  round {number + 1} of {rounds}: {_shown(each.name, match.metrics, values)}")
    return values


def _shown(
    name: str, metrics: Sequence[Metric], values: Mapping[str, Sequence[Sequence[float]]]
) -> str:
    latest = zip(metrics, values[name][-1], strict=True)
    return f"{name}: " + ", ".join(f"{m.name} {value:,.1f} {m.unit}" for m, value in latest)
