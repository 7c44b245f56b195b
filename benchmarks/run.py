"""One run: start everything once, measure case by case in alternating rounds, stop everything."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psycopg
from psycopg import sql

from benchmarks.adapters import celery_database, flask_celery_redis, taskyard
from benchmarks.cases import Drain, RoundTrip, SubmitBatches, SubmitOnly, SubmitWhileWorking
from benchmarks.environment import prepare
from benchmarks.measure import Case, Comparison, compare
from benchmarks.systems import Drained, Gateway
from taskyard.dev import Servers, start_servers

_OURS, _THEIRS = "bench_taskyard", "bench_celery"

Say = Callable[[str], None]
S = TypeVar("S")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how often."""

    rounds: int
    seconds: int
    round_trips: int
    drained: int
    quick: bool

    @classmethod
    def full(cls) -> "Plan":
        """Return the plan whose numbers may be quoted."""
        return cls(rounds=5, seconds=5, round_trips=300, drained=5_000, quick=False)

    @classmethod
    def short(cls) -> "Plan":
        """Return the plan for a look while developing."""
        return cls(rounds=2, seconds=2, round_trips=60, drained=2_000, quick=True)

    def of_gateways(self) -> dict[str, Case[Gateway]]:
        """Return the cases over HTTP by name."""
        return {
            "latency": RoundTrip(count=self.round_trips),
            "submit": SubmitOnly(seconds=self.seconds),
            "working": SubmitWhileWorking(seconds=self.seconds),
            "batch-1000": SubmitBatches(size=1_000, batches=5),
            "batch-10000": SubmitBatches(size=10_000, batches=1),
        }

    def of_workers(self) -> dict[str, Case[Drained]]:
        """Return the cases of workers alone by name."""
        return {"drain": Drain(tasks=self.drained)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a run works with: every process is started below `folder`."""

    plan: Plan
    folder: Path
    environment: Path
    api_workers: int
    say: Say

    def run(self, wanted: Sequence[str]) -> list[Comparison]:
        """Measure the wanted cases, all of them when none is named."""
        found: list[Comparison] = []
        self.say("starting Postgres and RabbitMQ …")
        with ExitStack() as stack:
            servers = stack.enter_context(start_servers(self.folder, vhosts=(_OURS, _THEIRS)))
            self.say("starting Taskyard …")
            ours = stack.enter_context(
                taskyard.start(
                    folder=self.folder,
                    database_url=_fresh_database(servers, _OURS),
                    amqp_url=servers.amqp_url(_OURS),
                    api_workers=self.api_workers,
                )
            )
            gateways = _chosen(self.plan.of_gateways(), wanted)
            if gateways:
                found += self._against_flask(ours, gateways)
            workers = _chosen(self.plan.of_workers(), wanted)
            if workers:
                found += self._against_celery(ours, workers, servers)
        return found

    def _against_flask(self, ours: Gateway, cases: Sequence[Case[Gateway]]) -> list[Comparison]:
        self.say("starting Flask, Celery and Redis …")
        with flask_celery_redis.start(folder=self.folder, environment=self.environment) as peer:
            return self._compare(cases, ours, peer, peer.name)

    def _against_celery(
        self, ours: Drained, cases: Sequence[Case[Drained]], servers: Servers
    ) -> list[Comparison]:
        self.say("starting Celery with its database backend …")
        with celery_database.start(
            folder=self.folder,
            environment=self.environment,
            database_url=_fresh_database(servers, _THEIRS),
            amqp_url=servers.amqp_url(_THEIRS),
        ) as peer:
            return self._compare(cases, ours, peer, peer.name)

    def _compare(
        self, cases: Sequence[Case[S]], ours: S, peer: S, peer_name: str
    ) -> list[Comparison]:
        found: list[Comparison] = []
        for case in cases:
            self.say(case.title)
            found += compare(
                case,
                ours=ours,
                peer=peer,
                peer_name=peer_name,
                rounds=self.plan.rounds,
                say=self.say,
            )
        return found


def bench(
    plan: Plan, *, folder: Path, wanted: Sequence[str], api_workers: int, say: Say
) -> list[Comparison]:
    """Install what the peers need and measure."""
    environment = prepare(folder / "bench-venv", say=say)
    return Bench(
        plan=plan,
        folder=folder / "bench",
        environment=environment,
        api_workers=api_workers,
        say=say,
    ).run(wanted)


def _chosen(cases: dict[str, Case[S]], wanted: Sequence[str]) -> list[Case[S]]:
    return [case for name, case in cases.items() if not wanted or name in wanted]


def _fresh_database(servers: Servers, name: str) -> str:
    """Make an empty database for this run; return its URL."""
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    return servers.database_url.rpartition("/")[0] + f"/{name}"
