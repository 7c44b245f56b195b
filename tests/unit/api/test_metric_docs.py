"""docs/metrics.md, the alerts and the dashboards speak of the metrics that there are."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from taskyard.api.metric_families import health_families, yard_families
from taskyard.broker.consumer import Consumer
from taskyard.broker.depths import Depth
from taskyard.broker.publisher import Publisher
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.statistics import BOUNDS, RUNS, Change, Durations
from taskyard.dispatcher import Dispatcher
from taskyard.dispatcher.readings import dispatcher_readings
from taskyard.ingest import HELD
from taskyard.ingest.readings import ingest_readings
from taskyard.process_metrics import ProcessMetrics
from taskyard.role_metrics import Reading, Readings
from taskyard.services.reconcile import Reconciler, Seen
from taskyard.services.statistics import Snapshot
from taskyard.storage.pool import Pool as ConnectionPool
from taskyard.storage.statistics import Standing, Total, Unended
from taskyard.worker.readings import worker_readings
from taskyard.worker.runtime import Runtime

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "compose" / "prometheus"
ROW = re.compile(r"^\| `(taskyard_\w+)` \| (\w+) \| ([\w, ]*) ?\| (.*) \|$", re.MULTILINE)
NAMED = re.compile(r"taskyard_[a-z_]+")


class Everything(Collector):
    """At least one sample of every metric."""

    def collect(self) -> Iterable[Metric]:
        took = Durations(seconds=1.5, buckets=(1, *(0 for _ in BOUNDS)))
        timed = {*RUNS, Change.STARTED, Change.DISPATCHED}
        totals = [
            Total(pool="p", type="t", change=c, count=1, durations=took if c in timed else None)
            for c in Change
        ]
        yield from yard_families(
            Snapshot(
                totals=totals,
                backlog=[Unended(pool="p", state="pending", priority=4, count=1, age=0.5)],
                standings=[
                    Standing(pool="p", consumers=1, size=8, lost=0, repaired=0, duplicated=0)
                ],
                lags={"history": 0.5, "backlog": 0.5},
            )
        )
        yield from health_families(database_seconds=0.01, broker_up=True, version="1")
        own = ProcessMetrics()
        own.answered("GET", "/v1/tasks", 200, 0.01)
        own.shed()
        own.limited(64)
        own.committed(3)
        yield from own.collect()
        yield from Readings(readings()).collect()


def readings() -> list[Reading]:
    """What each role tells of itself, with one pool and nothing done yet."""
    pool = Pool(name="p", tasks=("t",), modules=())
    table = RoutingTable(pools={"p": pool}, defaults={})
    publisher, connections = Publisher("", ""), cast("ConnectionPool", None)
    seen = Seen(at=time.monotonic(), depths={"p": Depth(ready=1, consumers=1)})
    reconciler = Reconciler(
        table=table, connections=connections, publisher=publisher, database_url="", amqp_url="",
        prefix="", seen=seen,
    )  # fmt: skip
    dispatcher = Dispatcher(
        database_url="", pool=connections, publisher=publisher, reconciler=reconciler, table=table
    )
    consumer = Consumer("", "", bounds=HELD, look_after=1.0)
    return [
        *dispatcher_readings(dispatcher, publisher, reconciler),
        *ingest_readings(consumer),
        *worker_readings(Runtime(database_url="", worker="w", pool="p"), pool),
    ]


def shown(family: Metric) -> tuple[str, str, str, str]:
    suffix = "_total" if family.type == "counter" else ""
    labels = {name for sample in family.samples for name in sample.labels} - {"le"}
    return family.name + suffix, family.type, ", ".join(sorted(labels)), family.documentation


def test_every_metric_is_in_the_guide() -> None:
    """With its kind, labels and meaning, in the order in which it is served, and no others."""
    rows = ROW.findall((ROOT / "docs" / "metrics.md").read_text())
    found = [shown(family) for family in Everything().collect()]
    assert [(name, kind, labels.strip(), text) for name, kind, labels, text in rows] == found


def names() -> set[str]:
    """What may be asked for: the names of samples."""
    return {sample.name for family in Everything().collect() for sample in family.samples}


def test_alerts_ask_for_metrics_that_there_are() -> None:
    """And each has an entry in the runbook, under its own name, which it names."""
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    runbook = (ROOT / "docs" / "operations.md").read_text()
    for rule in rules:
        assert set(NAMED.findall(rule["expr"])) <= names(), rule["alert"]
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    headings = re.findall(r"^### (Taskyard\w+)$", runbook, re.MULTILINE)
    assert headings == [rule["alert"] for rule in rules]


@pytest.mark.parametrize("name", ["yard", "pool"])
def test_dashboards_ask_for_metrics_that_there_are(name: str) -> None:
    """In every panel, none of which lies over another."""
    file = ROOT / "compose" / "grafana" / "dashboards" / f"{name}.json"
    panels = json.loads(file.read_text())["panels"]
    for panel in panels:
        for target in panel["targets"]:
            asked = set(NAMED.findall(target["expr"]))
            assert asked, panel["title"]
            assert asked <= names(), panel["title"]
    places = [each["gridPos"] for each in panels]
    covered = [
        (x, y)
        for at in places
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(covered) == len(set(covered))
    assert max(x for x, _ in covered) < 24


def test_prometheus_understands_what_dashboards_ask(tmp_path: Path) -> None:
    """Each expression is one, with the dashboard's variables filled in."""
    asked = [
        target["expr"].replace("$__rate_interval", "1m").replace("$pool", "media")
        for file in (ROOT / "compose" / "grafana" / "dashboards").glob("*.json")
        for panel in json.loads(file.read_text())["panels"]
        for target in panel["targets"]
    ]
    rules = [{"record": f"asked:{n}", "expr": expr} for n, expr in enumerate(asked)]
    written = tmp_path / "rules.yml"
    written.write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    done = promtool("check", "rules", "--lint=none", str(written))
    assert done.returncode == 0, done.stdout + done.stderr


def promtool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: Debian has it in the package prometheus")
    return subprocess.run(
        ["promtool", *arguments], input=given, capture_output=True, cwd=PROMETHEUS, check=False
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "alerts.yml"),
        ("check", "config", "prometheus.yml"),
        ("test", "rules", "alerts.test.yml"),
    ],
)
def test_prometheus_takes_rules_and_configuration(arguments: tuple[str, ...]) -> None:
    """And alerts fire when they should, and not otherwise."""
    done = promtool(*arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_finds_nothing_amiss_with_the_metrics() -> None:
    """Its linter reads names, kinds and help texts."""
    registry = CollectorRegistry()
    registry.register(Everything())
    done = promtool("check", "metrics", given=generate_latest(registry))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
