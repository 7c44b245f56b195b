"""One run: start the servers once, do what is wanted group by group, stop everything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import psycopg

from benchmarks import growth, memory
from benchmarks.adapters import taskyard
from benchmarks.adapters.peer import Place
from benchmarks.cost import cost, counted
from benchmarks.environment import prepare
from benchmarks.matches import MATCHES, PEERS, Builder, Plan
from benchmarks.measure import compare
from benchmarks.report import Findings, Sheet
from benchmarks.whole import whole
from benchmarks.yard import VHOSTS, Say, Yard, fresh_database
from taskyard.dev import Servers, start_servers

T = TypeVar("T")
Measure = Callable[[Yard, Plan], Iterator[Sheet]]


def _plans(yard: Yard, plan: Plan) -> Iterator[Sheet]:
    yield growth.plans(yard, plan)


def _cost(yard: Yard, plan: Plan) -> Iterator[Sheet]:
    key = "extra_0"
    database, broker = fresh_database(yard.servers, key), yard.servers.amqp_url(key)
    with (
        counted(database, broker) as (counts, database_url, amqp_url),
        taskyard.start(
            folder=yard.place.folder, database_url=database_url, amqp_url=amqp_url,
            api_workers=yard.api_workers, name="taskyard-counted",
        ) as system,
        psycopg.connect(database, autocommit=True) as past_the_proxy,
    ):  # fmt: skip
        asked = replace(system, database=past_the_proxy)
        yield cost(asked, counts, tasks=plan.round_trips, seconds=plan.seconds)


def _memory(yard: Yard, plan: Plan) -> Iterator[Sheet]:
    ours = yard.ours()
    workers = {ours.name: memory.workers_of(ours)}
    for key in PEERS:
        peer = yard.peer(key)
        workers[peer.name] = [each.pid for each in peer.workers]
    yield memory.children(workers)
    yield memory.waiting(ours, plan.waiting)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """What shares its stacks; the next group has the machine to itself."""

    matches: Mapping[str, Builder] = field(default_factory=dict)
    sheets: Mapping[str, Measure] = field(default_factory=dict)
    peers: bool = False  # whether they take part

    def of(self, wanted: Sequence[str]) -> "Group":
        """Return the wanted part, all of it when nothing is named."""

        def chosen(named: Mapping[str, T]) -> dict[str, T]:
            return {name: each for name, each in named.items() if not wanted or name in wanted}

        return Group(matches=chosen(self.matches), sheets=chosen(self.sheets), peers=self.peers)


_GROUPS = (
    Group(matches=MATCHES, sheets={"memory": _memory}, peers=True),
    Group(matches=growth.BY_ROWS, sheets={"growth-plans": _plans}),
    Group(matches=growth.BY_BACKLOG),
    Group(matches=growth.BY_POOLS),
    Group(sheets={"cost": _cost}),
)
CASES = (*(name for each in _GROUPS for name in (*each.matches, *each.sheets)), "whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with: every process is started below the place's folder."""

    plan: Plan
    place: Place
    servers: Servers
    api_workers: int
    say: Say

    def run(self, group: Group, found: Findings) -> None:
        """Measure a group, and stop what it has started."""
        with ExitStack() as stack:
            yard = Yard(
                servers=self.servers, place=self.place, api_workers=self.api_workers,
                stack=stack, say=self.say,
            )  # fmt: skip
            for name, build in group.matches.items():
                self._compare(name, build, yard, found)
            for name, measure in group.sheets.items():
                self.say(f"{name} …")
                found.sheets += measure(yard, self.plan)

    def _compare(self, name: str, build: Builder, yard: Yard, found: Findings) -> None:
        match = build(yard, self.plan)
        if match is None:
            self.say(f"{name}: left out, this version has no such pool")
            return
        self.say(f"{name}: {match.title}")
        found.comparisons += compare(match, rounds=self.plan.rounds, say=self.say)


def bench(
    plan: Plan, folder: Path, wanted: Sequence[str], *, api_workers: int, say: Say, found: Findings
) -> None:
    """Install what is needed, and add to what is found."""
    groups = [part for each in _GROUPS if (part := each.of(wanted)).matches or part.sheets]
    place = Place(folder=folder / "bench", environment=(folder / "bench-venv").resolve())
    if any(each.peers for each in groups):
        prepare(place.environment, say=say)
    if groups:
        say("starting Postgres and RabbitMQ …")
        with start_servers(place.folder, vhosts=VHOSTS) as servers:
            runs = Bench(plan=plan, place=place, servers=servers, api_workers=api_workers, say=say)
            for each in groups:
                runs.run(each, found)
    if not wanted or "whole" in wanted:  # on servers of its own, which are struck
        found.sheets.append(whole(plan.drill, say=say))
