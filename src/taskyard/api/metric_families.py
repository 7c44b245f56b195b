"""The state of the yard as metrics: from what Postgres counted to what Prometheus reads."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.utils import floatToGoString

from taskyard.core.statistics import BOUNDS, ENDINGS, RUNS, Change, Durations
from taskyard.services.statistics import Snapshot
from taskyard.storage.statistics import Total

MOST_TYPES = 200
OTHER = "other"

_UPPER = (*map(floatToGoString, BOUNDS), "+Inf")
_Key = tuple[str, ...]
_KeyOf = Callable[[Total], _Key]


def _by_pool(total: Total) -> _Key:
    return (total.pool,)


def _by_type(total: Total) -> _Key:
    return total.pool, total.type


def _by_change(total: Total) -> _Key:
    return total.pool, total.type, total.change.value


@dataclass(frozen=True, slots=True)
class _Shown:
    """Which changes are shown as what: sums, or their durations."""

    name: str
    meaning: str
    changes: tuple[Change, ...]
    labels: tuple[str, ...] = ("pool", "type")
    key_of: _KeyOf = _by_type


_BY_STATE, _BY_CAUSE = ("pool", "type", "state"), ("pool", "type", "cause")
_COUNTERS = (
    _Shown("taskyard_tasks_accepted", "Tasks accepted.", (Change.ACCEPTED,)),
    _Shown(
        "taskyard_tasks_dispatched", "Wake-ups that the broker confirmed.", (Change.DISPATCHED,)
    ),
    _Shown("taskyard_tasks_started", "Attempts begun.", (Change.STARTED,)),
    _Shown("taskyard_tasks_ended", "Tasks that ended.", ENDINGS, _BY_STATE, _by_change),
    _Shown("taskyard_tasks_retried", "Attempts with another one to come.", (Change.RETRIED,)),
    _Shown("taskyard_tasks_replayed", "Ended tasks that were sent again.", (Change.REPLAYED,)),
    _Shown(
        "taskyard_attempts_lost",
        "Attempts whose process died (crashed), or whose lease ran out (reaped).",
        (Change.CRASHED, Change.REAPED),
        _BY_CAUSE,
        _by_change,
    ),
)
_HISTOGRAMS = (
    _Shown(
        "taskyard_dispatch_lag_seconds",
        "Time from when a task was due until the broker had its wake-up.",
        (Change.DISPATCHED,),
        ("pool",),
        _by_pool,
    ),
    _Shown(
        "taskyard_queue_wait_seconds",
        "Time from when a task was due until an attempt began.",
        (Change.STARTED,),
        ("pool",),
        _by_pool,
    ),
    _Shown("taskyard_run_seconds", "Time that an attempt ran, however it ended.", RUNS),
)


def yard_families(found: Snapshot) -> Iterator[Metric]:
    """Yield what Postgres knows of the yard."""
    totals = folded(found.totals)
    for shown in _COUNTERS:
        counter = CounterMetricFamily(shown.name, shown.meaning, labels=shown.labels)
        for key, count in _counts(totals, shown).items():
            counter.add_metric(key, count)
        yield counter
    for shown in _HISTOGRAMS:
        histogram = HistogramMetricFamily(shown.name, shown.meaning, labels=shown.labels)
        for key, durations in _durations(totals, shown).items():
            counts = accumulate(durations.buckets)
            histogram.add_metric(key, [*zip(_UPPER, counts, strict=True)], durations.seconds)
        yield histogram
    yield from _backlog(found)
    yield from _pools(found)


def folded(totals: Sequence[Total]) -> list[Total]:
    """Return totals of so many types: those first seen have a name, all others are one.

    In the order of their first coming, since a type that changed places would make counters fall.
    """
    known: dict[str, str] = {}
    for total in totals:
        known.setdefault(total.type, total.type if len(known) < MOST_TYPES else OTHER)
    return [
        Total(
            pool=total.pool,
            type=known[total.type],
            change=total.change,
            count=total.count,
            durations=total.durations,
        )
        for total in totals
    ]


def _counts(totals: Iterable[Total], shown: _Shown) -> dict[_Key, int]:
    sums: dict[_Key, int] = {}
    for total in totals:
        if total.change in shown.changes:
            key = shown.key_of(total)
            sums[key] = sums.get(key, 0) + total.count
    return sums


def _durations(totals: Iterable[Total], shown: _Shown) -> dict[_Key, Durations]:
    sums: dict[_Key, Durations] = {}
    for total in totals:
        if total.change in shown.changes and total.durations is not None:
            key = shown.key_of(total)
            sums[key] = sums[key] + total.durations if key in sums else total.durations
    return sums


def _backlog(found: Snapshot) -> Iterator[Metric]:
    count = GaugeMetricFamily(
        "taskyard_backlog_tasks", "Tasks that have not ended.", labels=("pool", "state", "priority")
    )
    age = GaugeMetricFamily(
        "taskyard_backlog_oldest_seconds",
        "For how long the first of them is due (or runs).",
        labels=("pool", "state", "priority"),
    )
    for each in found.backlog:
        key = (each.pool, each.state, str(each.priority))
        count.add_metric(key, each.count)
        age.add_metric(key, each.age)
    yield from (count, age)


def _pools(found: Snapshot) -> Iterator[Metric]:
    consumers = GaugeMetricFamily("taskyard_pool_workers", "Workers of a pool.", labels=("pool",))
    window = GaugeMetricFamily(
        "taskyard_pool_window_tasks", "Wake-ups the broker may hold.", labels=("pool",)
    )
    paused = GaugeMetricFamily(
        "taskyard_pool_paused", "1 while nothing of a pool is begun.", labels=("pool",)
    )
    wakeups = CounterMetricFamily(
        "taskyard_wakeups_reckoned",
        "Wake-ups that the broker lost, that were repaired, that came for nothing.",
        labels=("pool", "finding"),
    )
    for each in found.standings:
        consumers.add_metric((each.pool,), each.consumers)
        window.add_metric((each.pool,), each.size)
        paused.add_metric((each.pool,), float(each.paused))
        for finding in ("lost", "repaired", "duplicated"):
            wakeups.add_metric((each.pool, finding), getattr(each, finding))
    lag = GaugeMetricFamily(
        "taskyard_statistics_age_seconds",
        "For how long no dispatcher has counted the history, or the backlog.",
        labels=("of",),
    )
    for purpose, seconds in found.lags.items():
        lag.add_metric((purpose,), seconds)
    yield from (consumers, window, paused, wakeups, lag)


def health_families(
    *, database_seconds: float | None, broker_up: bool, version: str
) -> Iterator[Metric]:
    """Yield how the parts are that this process works with; None: the database does not answer."""
    database_up = database_seconds is not None
    yield GaugeMetricFamily(
        "taskyard_database_up", "Whether Postgres answers.", value=float(database_up)
    )
    if database_seconds is not None:
        yield GaugeMetricFamily(
            "taskyard_database_answer_seconds",
            "How long it took to read all of the above.",
            value=database_seconds,
        )
    yield GaugeMetricFamily(
        "taskyard_broker_up",
        "Whether the process that answers is connected to RabbitMQ.",
        value=float(broker_up),
    )
    info = GaugeMetricFamily("taskyard_build_info", "Always 1.", labels=("version",))
    info.add_metric((version,), 1.0)
    yield info
