"""The operations on statistics and metrics."""

from taskyard.api.operation import AWAY, SOUGHT, TEXT, TIME, Operation
from taskyard.api.statistics_views import StatisticsView
from taskyard.core.principal import Scope

STATISTICS_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/statistics",
        scope=Scope.READ,
        tag="Yard",
        summary="Tell what happened to tasks, step by step",
        description="Counts and durations of this tenant's tasks, from minutes and hours that are "
        "kept for 90 days, whatever has become of the tasks. A change is counted a second or two "
        "after it was committed.",
        query=(
            ("pool", SOUGHT, "Only of this pool."),
            ("type", SOUGHT, "Only of this task type."),
            ("from", TIME, "From the step with this time on; else from an hour before `to`."),
            ("to", TIME, "Before this time; else until now."),
            (
                "step",
                {**TEXT, "examples": ["1m", "15m", "1h", "1d"]},
                "Whole minutes; at most 2,000 of them. Else `1m`.",
            ),
        ),
        answer=StatisticsView,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="get",
        path="/metrics",
        scope=Scope.READ,
        whole_tenant=True,
        tag="Probes",
        summary="Scrape the metrics of the whole yard",
        description="OpenMetrics 1.0, or the text format 0.0.4 of Prometheus. Needs no key from "
        "the networks in TASKYARD_METRICS_NETWORKS.",
        media=("application/openmetrics-text", "text/plain"),
        answer=TEXT,
    ),
)
