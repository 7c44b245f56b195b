"""One run: start the servers once, do what is wanted group by group, stop everything."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

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
    ):  # fmt: skip
        yield cost(system, counts, tasks=plan.round_trips, seconds=plan.seconds)


def _memory(yard: Yard, plan: Plan) -> Iterator[Sheet]:
    ours = yard.ours()
    workers = {ours.name: memory.workers_of(ours)}
    for key in PEERS:
        peer = yard.peer(key)
        workers[peer.name] = [each.pid for each in peer.workers]
    yield memory.children(workers)
    yield memory.waiting(ours, plan.waiting)


def _whole(yard: Yard, plan: Plan) -> Iterator[Sheet]:
    yield whole(plan.drill, say=yard.say)


# Comparisons and sheets that share what they start; the next group has the machine to itself.
_GROUPS: tuple[tuple[Mapping[str, Builder], Mapping[str, Measure]], ...] = (
    (MATCHES, {"memory": _memory}),
    (growth.BY_ROWS, {"growth-plans": _plans}),
    (growth.BY_BACKLOG, {}),
    (growth.BY_POOLS, {}),
    ({}, {"cost": _cost}),
    ({}, {"whole": _whole}),
)

CASES = tuple(name for matches, sheets in _GROUPS for name in (*matches, *sheets))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with: every process is started below the place's folder."""

    plan: Plan
    place: Place
    servers: Servers
    api_workers: int
    say: Say

    def run(self, wanted: Sequence[str], found: Findings) -> None:
        """Measure the wanted cases, all of them when none is named."""
        for matches, sheets in _GROUPS:
            with self._yard() as yard:
                for name, build in matches.items():
                    if not wanted or name in wanted:
                        self._compare(name, build, yard, found)
                for name, measure in sheets.items():
                    if not wanted or name in wanted:
                        self.say(f"{name} …")
                        found.sheets += measure(yard, self.plan)

    @contextmanager
    def _yard(self) -> Iterator[Yard]:
        with ExitStack() as stack:
            yield Yard(
                servers=self.servers,
                place=self.place,
                api_workers=self.api_workers,
                stack=stack,
                say=self.say,
            )

    def _compare(self, name: str, build: Builder, yard: Yard, found: Findings) -> None:
        match = build(yard, self.plan)
        if match is None:
            self.say(f"{name}: left out, this version has no such pool")
            return
        self.say(f"{name}: {match.title}")
        found.comparisons += compare(match, rounds=self.plan.rounds, say=self.say)


def bench(
    plan: Plan, *, folder: Path, wanted: Sequence[str], api_workers: int, say: Say, found: Findings
) -> None:
    """Install what the peers need, and add to what is found."""
    place = Place(folder=folder / "bench", environment=prepare(folder / "bench-venv", say=say))
    say("starting Postgres and RabbitMQ …")
    with start_servers(place.folder, vhosts=VHOSTS) as servers:
        runs = Bench(plan=plan, place=place, servers=servers, api_workers=api_workers, say=say)
        runs.run(wanted, found)
