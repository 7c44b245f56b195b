"""The comparisons as a table for people, as JSON and as Markdown."""

import dataclasses
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table

from benchmarks.measure import Comparison, Metric

_HEADINGS = ("case", "metric", "ours", "peer", "ratio", "peer is", "target")


def table(comparisons: Sequence[Comparison]) -> Table:
    """Return the table shown at the end of a run."""
    shown = Table(title="medians of paired rounds; a ratio above 1 is in our favour")
    for heading in _HEADINGS:
        right = heading in ("ours", "peer", "ratio")
        shown.add_column(heading, justify="right" if right else "left", overflow="fold")
    for each in comparisons:
        colour = {True: "green", False: "red", None: ""}[each.met]
        cells = _cells(each)
        shown.add_row(*cells[:-1], f"[{colour}]{cells[-1]}[/]" if colour else cells[-1])
    return shown


def markdown(comparisons: Sequence[Comparison]) -> str:
    """Return the same table for the documentation."""
    rows = [_HEADINGS, ["---"] * len(_HEADINGS), *map(_cells, comparisons)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def write_json(path: Path, comparisons: Sequence[Comparison], *, quick: bool) -> None:
    """Write every value of every round, and what they were measured on."""
    content = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": {
            "cpus": os.cpu_count(),
            "architecture": platform.machine(),
            "system": platform.system(),
            "python": platform.python_version(),
        },
        "comparisons": [
            {
                **dataclasses.asdict(each),
                "ours": each.ours,
                "theirs": each.theirs,
                "ratio": each.ratio,
                "met": each.met,
            }
            for each in comparisons
        ],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def _cells(each: Comparison) -> list[str]:
    metric = each.metric
    return [
        each.case,
        metric.name,
        _value(each.ours, metric),
        _value(each.theirs, metric),
        f"{each.ratio:.2f} ×" if metric.compared else "",
        each.peer,
        _target(metric) + {True: " ✓", False: " ✗", None: ""}[each.met],
    ]


def _value(value: float, metric: Metric) -> str:
    shown = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
    return f"{shown} {metric.unit}".strip()


def _target(metric: Metric) -> str:
    sign = "≥" if metric.higher_is_better else "≤"
    parts = [f"ratio ≥ {metric.ratio_target:g}"] if metric.ratio_target is not None else []
    if metric.target is not None:
        parts.append(f"{sign} {metric.target:,g} {metric.unit}")
    return ", ".join(parts)
