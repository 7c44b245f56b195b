"""How Taskyard grows: with the rows of the table, with what waits, and with pools."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from statistics import linear_regression
from typing import Any
from uuid import uuid4

import psycopg

from benchmarks.adapters.deployment import BenchPool
from benchmarks.adapters.taskyard import Taskyard
from benchmarks.cases import Drain, RoundTrip, SubmitOnly
from benchmarks.load import submit_in_batches
from benchmarks.matches import Builder, Plan, contender
from benchmarks.measure import Case, Contender, Match, Metric
from benchmarks.report import Sheet
from benchmarks.seed import Seeding, seed
from benchmarks.systems import Gateway
from benchmarks.yard import Yard
from taskyard.core.retention import first_id_at
from taskyard.storage.sql import queries

_FLAT = 1 / 1.15  # within 15 % of the smallest
_SLOTS = 8
_FAR = 10_000_000
_SECONDS_OF_BACKLOG = 10


def _grown(yard: Yard, place: int, rows: int) -> Taskyard:
    """Return Taskyard with so many ended tasks in its table."""
    system = yard.extra(place, f"taskyard-{rows}-rows", [BenchPool(name="bench", window=20_000)])
    now = datetime.now(UTC)
    if system.is_empty():
        yard.say(f"filling a table with {rows:,} tasks …")
        seed(system.database_url, Seeding(tasks=rows, open=0, until=now))
    return replace(system, name=f"taskyard, {rows:,} rows before", since=first_id_at(now))


def _by_rows(case: Case[Gateway], yard: Yard, plan: Plan) -> Match:
    largest, *smaller = [_grown(yard, place, rows) for place, rows in enumerate(plan.rows)]
    aims = {metric.name: _FLAT for metric in case.metrics if metric.compared}
    others = [contender(case, each, aims) for each in smaller]
    return Match(f"growth: {case.title}", case.metrics, [contender(case, largest, {}), *others])


def _submit(yard: Yard, plan: Plan) -> Match:
    return _by_rows(SubmitOnly(seconds=plan.seconds), yard, plan)


def _latency(yard: Yard, plan: Plan) -> Match:
    return _by_rows(RoundTrip(count=plan.round_trips), yard, plan)


def _drain(yard: Yard, plan: Plan) -> Match:
    return _by_rows(Drain(tasks=plan.drained), yard, plan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """Workers run while so many tasks wait; the pool has the window of a usual one."""

    waiting: int
    seconds: int

    def measure(self, system: Taskyard) -> Sequence[float]:
        """Top up what waits, let the workers run for some seconds, count what they finish."""
        with system.workers_paused():
            submit_in_batches(system, max(0, self.waiting - system.unfinished()))
        before, began = system.succeeded(), time.monotonic()
        time.sleep(self.seconds)
        return ((system.succeeded() - before) / (time.monotonic() - began),)


def _backlog(yard: Yard, plan: Plan) -> Match:
    metrics = (Metric(name="finished", unit="tasks/s"),)
    contenders = []
    for place, waiting in enumerate((plan.backlog, plan.backlog // 50)):
        case = Backlog(waiting=waiting, seconds=min(_SECONDS_OF_BACKLOG, plan.sustained))
        system = yard.extra(place, f"taskyard-{waiting}-waiting", [BenchPool(name="bench")])
        name = f"taskyard, {waiting:,} waiting"
        aims = {"finished": _FLAT} if place else {}
        contenders.append(Contender(name, partial(case.measure, system), aims))
    return Match("growth: run while many wait, default window", metrics, contenders)


def _pools(yard: Yard, plan: Plan) -> Match:
    case, contenders = Drain(tasks=plan.drained, of=f"{_SLOTS} processes in all"), []
    for place, count in enumerate((8, 4, 2, 1)):
        pools = [
            BenchPool(name=f"p{number}", concurrency=_SLOTS // count, window=20_000)
            for number in range(count)
        ]
        system = replace(yard.extra(place, f"taskyard-{count}-pools", pools), spread=True)
        named = replace(system, name=f"taskyard, {count} pools of {_SLOTS // count}")
        contenders.append(contender(case, named, {}))
    return Match(f"growth: {case.title}", case.metrics, contenders)


# Each group has the machine to itself: stacks that only wait cost little, but not nothing.
BY_ROWS: dict[str, Builder] = {
    "growth-submit": _submit,
    "growth-latency": _latency,
    "growth-drain": _drain,
}
BY_BACKLOG: dict[str, Builder] = {"growth-backlog": _backlog}
BY_POOLS: dict[str, Builder] = {"growth-pools": _pools}


def plans(yard: Yard, plan: Plan) -> Sheet:
    """Return what Postgres believes the hot statements to cost, by rows, and far beyond."""
    sizes = sorted(plan.rows)
    costs: dict[str, list[float]] = {}
    for rows in sizes:
        system = _grown(yard, plan.rows.index(rows), rows)
        system.database.execute("ANALYZE tasks")  # what was drained meanwhile is gone
        for name, statement, given in _hot(system.database):
            costs.setdefault(name, []).append(_cost(system.database, statement, given))
    found = [(name, *each, _extrapolated(sizes, each)) for name, each in costs.items()]
    return Sheet(
        title=f"plan costs of the hot statements, extrapolated to {_FAR:,} rows",
        columns=("statement", *(f"{rows:,} rows" for rows in sizes), f"{_FAR:,} rows"),
        rows=found,
        note="In Postgres' own units, by least squares over the logarithm of the rows.",
    )


def _hot(database: psycopg.Connection[Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    row = database.execute(_SOME_TASK).fetchone()
    assert row is not None
    task, tenant, task_type, pool = row
    one = {"id": task, "tenant": tenant, "type": task_type, "types": None}
    token = {"token": uuid4(), "worker": "bench", "result": "{}"}
    yield "claim", queries("attempts")["claim"], {**one, **token}
    yield "finish", queries("attempts")["finish"], {**one, **token}
    yield "get_task", queries("tasks")["get_task"], one
    yield "promote_due", queries("tasks")["promote_due"], {"limit": 100}
    yield "waiting_pools", queries("windows")["waiting_pools"], {}
    yield "take_window", queries("windows")["take_window"], {"pool": pool, "most": 100}


_SOME_TASK = "SELECT id, tenant, type, pool FROM tasks ORDER BY id LIMIT 1"


def _cost(database: psycopg.Connection[Any], statement: str, given: Mapping[str, Any]) -> float:
    explained = b"EXPLAIN (FORMAT JSON) " + statement.encode()
    row = database.execute(explained, given).fetchone()
    assert row is not None
    return float(row[0][0]["Plan"]["Total Cost"])


def _extrapolated(sizes: Sequence[int], costs: Sequence[float]) -> float:
    line = linear_regression([math.log10(rows) for rows in sizes], costs)
    return line.intercept + line.slope * math.log10(_FAR)
