"""What dispatchers, ingests and workers tell of themselves, each at an address of its own.

The state of the yard is not here, but at /metrics of the API. Each value is read when it is asked
for, so that nothing is added to what a process does.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskyard.core.errors import Misconfigured

Address = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One metric, and how to read it: its values by those of its labels. `counts` if it only grows.

    The labels are few and known: names of pools, outcomes.
    """

    name: str
    meaning: str
    labels: tuple[str, ...] = ()
    counts: bool = False
    read: Callable[[], Mapping[tuple[str, ...], float]]


class Readings(Collector):
    """Reads what a process tells."""

    def __init__(self, readings: Sequence[Reading]) -> None:
        self._readings = readings

    def collect(self) -> Iterable[Metric]:
        """Yield every metric as it stands."""
        for each in self._readings:
            kind = CounterMetricFamily if each.counts else GaugeMetricFamily
            family = kind(each.name, each.meaning, labels=each.labels)
            for labels, value in each.read().items():
                family.add_metric(labels, value)
            yield family


@contextmanager
def served(readings: Sequence[Reading], address: Address | None) -> Iterator[None]:
    """Serve metrics at an address, if there is one, beside those of the process itself.

    Raises Misconfigured when something else listens there.
    """
    if address is None:
        yield
        return
    registry = CollectorRegistry()
    registry.register(Readings(readings))
    ProcessCollector(registry=registry)
    host, port = address
    try:
        server, thread = start_http_server(port, addr=host, registry=registry)
    except OSError as error:
        raise Misconfigured(
            f"metrics cannot be served at {host}:{port} (TASKYARD_METRICS_LISTEN): "
            f"{error.strerror}; each process needs a port of its own"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
