"""What is measured, and how two systems are compared."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Protocol, TypeVar

S_contra = TypeVar("S_contra", contravariant=True)
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number of a case. `target` is what our median must reach, `ratio_target` the ratio.

    One that is not compared says under which conditions the others were measured.
    """

    name: str
    unit: str
    higher_is_better: bool = True
    compared: bool = True
    target: float | None = None
    ratio_target: float | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One metric of both systems, a value for each round."""

    case: str
    metric: Metric
    peer: str
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
        if metric.ratio_target is not None:
            verdicts.append(self.ratio >= metric.ratio_target)
        return all(verdicts) if verdicts else None


def compare(
    case: Case[S], *, ours: S, peer: S, peer_name: str, rounds: int, say: Callable[[str], None]
) -> list[Comparison]:
    """Measure both in turn, once a round, so that what else the machine does meets both alike.

    Who goes first changes from round to round.
    """
    values: Mapping[bool, list[Sequence[float]]] = {True: [], False: []}
    for number in range(rounds):
        for is_ours in (True, False) if number % 2 == 0 else (False, True):
            values[is_ours].append(case.measure(ours if is_ours else peer))
        shown = " · ".join(
            f"{metric.name} {mine:,.1f} | {theirs:,.1f} {metric.unit}"
            for metric, mine, theirs in zip(
                case.metrics, values[True][-1], values[False][-1], strict=True
            )
        )
        say(f"round {number + 1} of {rounds}: ours | {peer_name}: {shown}")
    return [
        Comparison(
            case=case.title,
            metric=metric,
            peer=peer_name,
            our_values=tuple(row[i] for row in values[True]),
            peer_values=tuple(row[i] for row in values[False]),
        )
        for i, metric in enumerate(case.metrics)
    ]
