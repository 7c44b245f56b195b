"""The cases: each one is a kind of work, done once a round by each of several systems."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import quantiles

from benchmarks.load import round_trips, steady_load, submit_at_once, submit_batches
from benchmarks.measure import Metric
from benchmarks.systems import IDLE_WITHIN, Gateway, System, wait_idle
from taskyard.dev.processes import wait_until

# Of a load, this many tasks may be with stopped workers, which have asked for them already.
_IN_WORKERS_HANDS = 64
_WARMING = 20
_TRYING = 4  # seconds in which a system shows what it can do at most


def _forget(system: System) -> None:
    """Remove what is queued, and let the workers end what they have in hand."""
    with system.workers_paused():
        system.clear()
    wait_idle(system)


def _of_payload(data: str) -> str:
    return f", arguments of {len(data) // 1024} KiB" if data else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sustained:
    """Single submissions at full speed while workers run what was accepted."""

    seconds: int
    connections: int = 32

    @property
    def title(self) -> str:
        """What is done."""
        return f"submit at full speed and execute at once, {self.seconds} s"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Tasks a second, both while the load lasts."""
        return (
            Metric(name="finished", unit="tasks/s"),
            Metric(name="accepted", unit="tasks/s"),
        )

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit for so long, and count what has ended by then."""
        before, start = system.succeeded(), time.monotonic()
        load = submit_at_once(system, connections=self.connections, seconds=self.seconds)
        finished = (system.succeeded() - before) / (time.monotonic() - start)
        _forget(system)
        return finished, load.per_second


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOnly:
    """Single submissions over many connections while no worker runs."""

    seconds: int
    connections: int = 32
    data: str = ""

    @property
    def title(self) -> str:
        """What is done."""
        return f"single submits, {self.connections} connections" + _of_payload(self.data)

    @property
    def metrics(self) -> Sequence[Metric]:
        """Accepted tasks a second."""
        return (Metric(name="accepted", unit="tasks/s"),)

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit for some seconds, check that nothing accepted is missing, and forget it all."""
        with system.workers_paused():
            load = submit_at_once(
                system, connections=self.connections, seconds=self.seconds, data=self.data
            )
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
        return f"batches of {self.size:,}"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Accepted tasks a second."""
        return (Metric(name="accepted", unit="tasks/s", target=20_000),)

    def measure(self, system: Gateway) -> Sequence[float]:
        """Submit the batches and forget them."""
        with system.workers_paused():
            rate = submit_batches(system, size=self.size, batches=self.batches)
            system.clear()
        wait_idle(system)
        return (rate,)


_LATENCIES = (
    Metric(name="p50", unit="ms", higher_is_better=False),
    Metric(name="p99", unit="ms", higher_is_better=False),
    Metric(name="p99.9", unit="ms", higher_is_better=False),
    Metric(name="a GET every", unit="ms", higher_is_better=False, compared=False),
)


def _latencies(system: Gateway, *, count: int, data: str = "") -> Sequence[float]:
    """Do round trips, after a few that warm connections and caches."""
    round_trips(system, count=_WARMING, data=data)
    seconds, between_polls = round_trips(system, count=count, data=data)
    cuts = quantiles(seconds, n=1000, method="inclusive")
    return cuts[499] * 1000, cuts[989] * 1000, cuts[998] * 1000, between_polls * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTrip:
    """From a POST to a readable result, one task at a time."""

    count: int
    data: str = ""

    @property
    def title(self) -> str:
        """What is done."""
        return "POST to readable result, idle" + _of_payload(self.data)

    @property
    def metrics(self) -> Sequence[Metric]:
        """Latency, and how often the client asked."""
        return _LATENCIES

    def measure(self, system: Gateway) -> Sequence[float]:
        """Do the round trips."""
        found = _latencies(system, count=self.count, data=self.data)
        wait_idle(system)
        system.clear()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundTripAtHalfLoad:
    """The same while others submit half as many tasks as this very system can finish."""

    count: int

    @property
    def title(self) -> str:
        """What is done."""
        return "POST to readable result, at half of what each can finish"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Latency, and the load beside."""
        return *_LATENCIES, Metric(name="load beside", unit="tasks/s", compared=False)

    def measure(self, system: Gateway) -> Sequence[float]:
        """Find out what it can finish, and do the round trips at half of that."""
        most, _ = Sustained(seconds=_TRYING).measure(system)
        with steady_load(system, rate=most / 2):
            found = _latencies(system, count=self.count)
        _forget(system)
        return *found, most / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """Workers run what is queued, and keep the results if they keep any."""

    tasks: int
    of: str = "4 processes"

    @property
    def title(self) -> str:
        """What is done."""
        return f"drain of {self.tasks:,} queued tasks, {self.of}"

    @property
    def metrics(self) -> Sequence[Metric]:
        """Finished tasks a second."""
        return (Metric(name="finished", unit="tasks/s"),)

    def measure(self, system: System) -> Sequence[float]:
        """Queue everything while the workers stand still, then time from go to last result."""
        wait_idle(system)
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


def _looked(system: System) -> int:
    """Count results, rarely: the database has better things to do. The end is read from rows."""
    time.sleep(0.2)
    return system.succeeded()
