"""The cases: each one is a kind of work, done once a round by each of two systems."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import quantiles

from benchmarks.load import round_trips, submit_at_once, submit_batches
from benchmarks.measure import Metric
from benchmarks.systems import IDLE_WITHIN, Drained, Gateway, wait_idle
from taskyard.dev.processes import wait_until

# Of a load, this many tasks may be with stopped workers, which have asked for them already.
_IN_WORKERS_HANDS = 64
_WARMING = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitWhileWorking:
    """Single submissions over many connections while workers run what was accepted."""

    seconds: int
    connections: int = 32

    @property
    def title(self) -> str:
        """What is done."""
        return f"single submits, {self.connections} connections, workers running"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Tasks a second: accepted, and run by the time that all of them have ended."""
        return (
            Metric(name="accepted", unit="tasks/s", ratio_target=1.5),
            Metric(name="run", unit="tasks/s"),
        )

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit for some seconds, then let the workers end what is left."""
        start = time.monotonic()
        load = submit_at_once(system, connections=self.connections, seconds=self.seconds)
        wait_idle(system)
        run = load.accepted / (time.monotonic() - start)
        system.clear()
        return load.per_second, run


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOnly:
    """Single submissions over many connections while no worker runs."""

    seconds: int
    connections: int = 32

    @property
    def title(self) -> str:
        """What is done."""
        return f"single submits, {self.connections} connections, workers stopped"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Accepted tasks a second."""
        return (Metric(name="accepted", unit="tasks/s", ratio_target=1.5),)

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit for some seconds, check that nothing accepted is missing, and forget it all."""
        with system.workers_paused():
            load = submit_at_once(system, connections=self.connections, seconds=self.seconds)
            kept = system.unfinished()
            if kept < load.accepted - _IN_WORKERS_HANDS:
                raise AssertionError(f"{system.name} kept {kept} of {load.accepted} accepted tasks")
            system.clear()
        wait_idle(system)
        return (load.per_second,)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitBatches:
    """Batches, one after the other over one connection, while no worker runs."""

    size: int
    batches: int

    @property
    def title(self) -> str:
        """What is done."""
        return f"batches of {self.size:,}, workers stopped"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Accepted tasks a second."""
        return (Metric(name="accepted", unit="tasks/s", target=10_000),)

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit the batches and forget them."""
        with system.workers_paused():
            rate = submit_batches(system, size=self.size, batches=self.batches)
            system.clear()
        wait_idle(system)
        return (rate,)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """From a POST to a readable result, one task at a time."""

    count: int

    @property
    def title(self) -> str:
        """What is done."""
        return "POST to readable result, one at a time, empty system"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Latency, and how often the client asked."""
        return (
            Metric(name="p50", unit="ms", higher_is_better=False, target=10.0),
            Metric(name="p99", unit="ms", higher_is_better=False),
            Metric(name="a GET every", unit="ms", higher_is_better=False, compared=False),
        )

    def measure(self, system: Gateway) -> Sequence[float]:
        """Do the round trips, after a few that warm connections and caches."""
        round_trips(system, count=_WARMING)
        seconds, between_polls = round_trips(system, count=self.count)
        cuts = quantiles(seconds, n=100, method="inclusive")
        wait_idle(system)
        system.clear()
        return cuts[49] * 1000, cuts[98] * 1000, between_polls * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Workers run what is queued; starts and results are stored durably."""

    tasks: int

    @property
    def title(self) -> str:
        """What is done."""
        return f"drain of {self.tasks:,} queued tasks, 4 processes, start and result stored"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Finished tasks a second."""
        return (Metric(name="finished", unit="tasks/s", ratio_target=4.0),)

    def measure(self, system: Drained) -> Sequence[float]:
        """Queue everything while the workers stand still, then time from go to last result."""
        system.clear()
        with system.workers_paused():
            system.fill(self.tasks)
            start = datetime.now(UTC)
        wait_until(
            lambda: _looked(system) >= self.tasks, within=IDLE_WITHIN, what=f"{system.name}'s drain"
        )
        seconds = (system.last_result_at() - start).total_seconds()
        system.clear()
        return (self.tasks / seconds,)


def _looked(system: Drained) -> int:
    """Count results, rarely: the database has better things to do. The end is read from rows."""
    time.sleep(0.2)
    return system.succeeded()
