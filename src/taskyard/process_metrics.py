"""What processes of the API count of themselves, summed up over all that belong together.

The state of the yard is not here: that is in Postgres (services/statistics.py). Each process writes
to files of its own in a shared folder, and the one that is scraped reads them all; what a process
has counted stays when it dies.
"""

from collections.abc import Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
_TASKS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0)
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})


class ProcessMetrics:
    """The counters of one process. Without a shared folder it sees its own only."""

    def __init__(self, shared: Path | None = None) -> None:
        self._registry = CollectorRegistry()
        self._shared = shared
        self._requests = Counter(
            "taskyard_http_requests",
            "Requests that were answered.",
            ("method", "route", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "taskyard_http_request_seconds",
            "Time until a request was answered; of a stream, until it began.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._shed = Counter(
            "taskyard_http_shed_requests",
            "Submissions refused at once because the process was behind.",
            registry=self._registry,
        )
        self._limit = Gauge(
            "taskyard_http_submissions_limit",
            "Submissions that a process lets in at once, the fewest of all: few when it is behind.",
            registry=self._registry,
            multiprocess_mode="livemin",
        )
        self._commits = Histogram(
            "taskyard_commit_tasks",
            "Tasks that shared one commit.",
            buckets=_TASKS,
            registry=self._registry,
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. Routes are those of the API, so there are only so many."""
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def shed(self) -> None:
        """Count a request that was refused before it was looked at."""
        self._shed.inc()

    def limited(self, submissions: float) -> None:
        """Remember how many submissions this process lets in at once."""
        self._limit.set(submissions)

    def committed(self, tasks: int) -> None:
        """Count a commit of so many tasks."""
        self._commits.observe(tasks)

    def collect(self) -> Iterable[Metric]:
        """Yield what all processes have counted."""
        if self._shared is None:
            yield from self._registry.collect()
        else:
            self._forget_dead(self._shared)
            yield from MultiProcessCollector(None, path=str(self._shared)).collect()  # type: ignore[no-untyped-call]

    @staticmethod
    def _forget_dead(shared: Path) -> None:
        """Forget what is true only as long as a process lives; what it counted stays."""
        for file in shared.glob("gauge_live*_*.db"):
            if not Path("/proc", file.stem.rpartition("_")[2]).exists():
                file.unlink(missing_ok=True)
