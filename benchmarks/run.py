"""One run: start the servers once, do what is wanted group by group, stop everything."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.adapters.peer import Place
from benchmarks.environment import prepare
from benchmarks.matches import MATCHES, Builder, Plan
from benchmarks.measure import Comparison, compare
from benchmarks.report import Findings, conditions
from benchmarks.yard import VHOSTS, Say, Yard
from taskyard.dev import Servers, start_servers

# What may run at the same time without being in each other's way: one group after the other.
_GROUPS: tuple[dict[str, Builder], ...] = (MATCHES,)

CASES = tuple(name for group in _GROUPS for name in group)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with: every process is started below `folder`."""

    plan: Plan
    place: Place
    servers: Servers
    api_workers: int
    say: Say

    def run(self, wanted: Sequence[str]) -> Iterator[Comparison]:
        """Measure the wanted cases, all of them when none is named."""
        for group in _GROUPS:
            chosen = {name: each for name, each in group.items() if not wanted or name in wanted}
            if chosen:
                with self._yard() as yard:
                    for name, build in chosen.items():
                        yield from self._compare(name, build, yard)

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

    def _compare(self, name: str, build: Builder, yard: Yard) -> Iterator[Comparison]:
        match = build(yard, self.plan)
        if match is None:
            self.say(f"{name}: left out, this version has no such pool")
            return
        self.say(f"{name}: {match.title}")
        yield from compare(match, rounds=self.plan.rounds, say=self.say)


def bench(
    plan: Plan, *, folder: Path, wanted: Sequence[str], api_workers: int, say: Say
) -> Findings:
    """Install what the peers need and measure."""
    place = Place(folder=folder / "bench", environment=prepare(folder / "bench-venv", say=say))
    say("starting Postgres and RabbitMQ …")
    with start_servers(place.folder, vhosts=VHOSTS) as servers:
        runs = Bench(plan=plan, place=place, servers=servers, api_workers=api_workers, say=say)
        return Findings(conditions(), list(runs.run(wanted)))
