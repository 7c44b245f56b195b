"""Who meets whom in which case, and what is aimed at."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from benchmarks.cases import (
    Drain,
    RoundTrip,
    RoundTripAtHalfLoad,
    SubmitBatches,
    SubmitOnly,
    Sustained,
)
from benchmarks.load import at_once, wish
from benchmarks.measure import Case, Contender, Match
from benchmarks.systems import Gateway, System
from benchmarks.yard import ASYNCIO, THREADS, Yard

PEERS = ("flask", "celery", "taskiq", "procrastinate", "dramatiq")
_WITH_RESULTS = PEERS[:-1]
_KIB = "x" * 1024

S = TypeVar("S", bound=System)
Aims = Mapping[str, Mapping[str, float]]  # by the peer's key, then by metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: int  # of submitting
    sustained: int  # seconds
    round_trips: int
    drained: int
    batches: int
    rows: Sequence[int]  # the sizes of the table, the largest first
    backlog: int
    waiting: int  # clients
    drill: int  # tasks, and a fault for each hundred

    @classmethod
    def full(cls) -> "Plan":
        """Return the plan whose numbers may be quoted."""
        return cls(
            rounds=5, seconds=5, sustained=60, round_trips=1_000, drained=20_000, batches=10,
            rows=(1_000_000, 100_000, 10_000), backlog=1_000_000, waiting=10_000, drill=3_000,
        )  # fmt: skip

    @classmethod
    def short(cls) -> "Plan":
        """Return the plan for a look while developing."""
        return cls(
            rounds=1, seconds=1, sustained=2, round_trips=30, drained=500, batches=1,
            rows=(20_000, 2_000), backlog=3_000, waiting=200, drill=200,
        )  # fmt: skip


def _contenders(
    case: Case[Gateway], yard: Yard, peers: Sequence[str], aims: Aims
) -> Iterator[Contender]:
    yield contender(case, yard.ours(), {})
    for key in peers:
        yield contender(case, yard.peer(key), aims.get(key, {}))


def contender(case: Case[S], system: S, aims: Mapping[str, float]) -> Contender:
    """Return a system that does the work of a case."""
    return Contender(system.name, partial(case.measure, system), aims)


def _match(
    case: Case[Gateway], yard: Yard, *more: Contender, peers: Sequence[str], aims: Aims
) -> Match:
    contenders = [*_contenders(case, yard, peers, aims), *more]
    return Match(case.title, case.metrics, contenders)


def _submit(yard: Yard, plan: Plan, *, connections: int) -> Match:
    quart, publishing = yard.empty_quart(), yard.raw_publishing()
    body = wish(yard.ours())

    def empty() -> Sequence[float]:
        load = at_once(quart, body, connections=connections, seconds=plan.seconds)
        return (load.per_second,)

    return _match(
        SubmitOnly(seconds=plan.seconds, connections=connections),
        yard,
        Contender(quart.name, empty, {"accepted": 0.5}),
        Contender(publishing.name, lambda: (publishing.per_second(plan.seconds),)),
        peers=PEERS,
        aims={"flask": {"accepted": 2.0}},
    )


def _submit_payload(yard: Yard, plan: Plan, *, kib: int) -> Match:
    case = SubmitOnly(seconds=plan.seconds, data=_KIB * kib)
    return _match(case, yard, peers=PEERS, aims={})


def _batches(yard: Yard, plan: Plan) -> Match:
    case, insert = SubmitBatches(size=1_000, batches=plan.batches), yard.raw_insert()
    raw = Contender(
        insert.name, lambda: (insert.per_second(rows=case.size, statements=case.batches),)
    )
    return _match(case, yard, raw, peers=PEERS, aims={})


def _sustained(yard: Yard, plan: Plan) -> Match:
    aims = {"flask": {"finished": 1.5}, "celery": {"finished": 5.0}}
    return _match(Sustained(seconds=plan.sustained), yard, peers=PEERS, aims=aims)


def _latency(yard: Yard, plan: Plan, *, kib: int = 0) -> Match:
    case = RoundTrip(count=plan.round_trips, data=_KIB * kib)
    aims = {} if kib else {"flask": {"p50": 0.5}}
    return _match(case, yard, peers=_WITH_RESULTS, aims=aims)


def _latency_half(yard: Yard, plan: Plan) -> Match:
    case = RoundTripAtHalfLoad(count=plan.round_trips)
    aims = {key: {"p99": 1.0} for key in _WITH_RESULTS}
    return _match(case, yard, peers=_WITH_RESULTS, aims=aims)


def _drain(yard: Yard, plan: Plan) -> Match:
    case = Drain(tasks=plan.drained)
    alone = contender(case, yard.celery_alone("prefork"), {"finished": 0.65})
    return _match(case, yard, alone, peers=PEERS, aims={"celery": {"finished": 5.0}})


def _drain_threads(yard: Yard, plan: Plan) -> Match:
    case = Drain(tasks=plan.drained, of="4 threads")
    ours, alone = yard.ours().of(THREADS), yard.celery_alone("threads")
    return Match(case.title, case.metrics, [contender(case, each, {}) for each in (ours, alone)])


def _drain_asyncio(yard: Yard, plan: Plan) -> Match | None:
    if ASYNCIO not in yard.ours().pools:
        return None
    case = Drain(tasks=plan.drained, of=f"asyncio, {ASYNCIO.concurrency} at once in one process")
    contenders = [
        contender(case, yard.ours().of(ASYNCIO), {}),
        contender(case, yard.celery_alone("threads"), {"finished": 1.0}),
        contender(case, yard.peer("taskiq"), {}),
    ]
    return Match(case.title, case.metrics, contenders)


Builder = Callable[[Yard, Plan], Match | None]  # None: this version cannot do it

MATCHES: dict[str, Builder] = {
    "latency": _latency,
    "latency-1k": partial(_latency, kib=1),
    "latency-64k": partial(_latency, kib=64),
    "latency-half": _latency_half,
    "submit-32": partial(_submit, connections=32),
    "submit-256": partial(_submit, connections=256),
    "submit-1k": partial(_submit_payload, kib=1),
    "submit-64k": partial(_submit_payload, kib=64),
    "batch-1000": _batches,
    "drain": _drain,
    "drain-threads": _drain_threads,
    "drain-asyncio": _drain_asyncio,
    "sustained": _sustained,
}
