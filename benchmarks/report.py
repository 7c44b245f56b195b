"""The comparisons as a table for people, as JSON and as Markdown."""

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.table import Table

from benchmarks.measure import Comparison, Metric

_OUR_VERSIONS = ("taskyard", "celery", "quart", "granian", "psycopg", "aio-pika")
_HEADINGS = ("case", "metric", "ours", "peer", "ratio", "peer is", "target")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Figures that are compared with nobody's. Units stand in the columns' names."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str


@dataclass(slots=True)
class Findings:
    """What a run has found, and under which conditions."""

    conditions: dict[str, Any]
    comparisons: list[Comparison] = field(default_factory=list)
    sheets: list[Sheet] = field(default_factory=list)


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


def markdown(found: Findings) -> str:
    """Return everything for the documentation."""
    parts = [_lines(_HEADINGS, list(map(_cells, found.comparisons)))] if found.comparisons else []
    for sheet in found.sheets:
        rows = [list(map(_cell, row)) for row in sheet.rows]
        parts.append(f"{sheet.title}:\n\n{_lines(sheet.columns, rows)}\n\n{sheet.note}")
    return "\n\n".join(parts)


def sheet_table(sheet: Sheet) -> Table:
    """Return a sheet as it is shown at the end of a run."""
    shown = Table(*sheet.columns, title=sheet.title, caption=sheet.note)
    for row in sheet.rows:
        shown.add_row(*map(_cell, row))
    return shown


def _lines(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    every = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in every)


def _cell(value: Any) -> str:
    match value:
        case float():
            return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"
        case int():
            return f"{value:,}"
        case _:
            return str(value)


def conditions() -> dict[str, Any]:
    """Return what everything was measured on, with which versions, by which command and when."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "machine": {
            "cpus": os.cpu_count(),
            "memory_gib": round(memory / 2**30),
            "architecture": platform.machine(),
            "system": platform.system(),
            "load_average": round(os.getloadavg()[0], 1),
        },
        "versions": {"python": platform.python_version()}
        | {name: version(name) for name in _OUR_VERSIONS},
    }


def write(folder: Path, findings: Findings) -> None:
    """Write bench.json, with every value of every round, and bench.md."""
    folder.mkdir(parents=True, exist_ok=True)
    on = findings.conditions
    content = {
        **on,
        "comparisons": [*map(_as_json, findings.comparisons)],
        "sheets": [*map(dataclasses.asdict, findings.sheets)],
    }
    (folder / "bench.json").write_text(json.dumps(content, indent=2) + "\n")
    versions = ", ".join(f"{name} {each}" for name, each in on["versions"].items())
    head = (
        f"Measured on {on['measured_at']} by `{on['command']}` on {on['machine']['cpus']} cores "
        f"({on['machine']['architecture']}, {on['machine']['memory_gib']} GiB); {versions}."
    )
    (folder / "bench.md").write_text(f"{head}\n\n{markdown(findings)}\n")


def _as_json(each: Comparison) -> dict[str, Any]:
    medians = {"ours": each.ours, "theirs": each.theirs, "ratio": each.ratio, "met": each.met}
    return {**dataclasses.asdict(each), **medians}


def _cells(each: Comparison) -> list[str]:
    metric = each.metric
    return [
        each.case,
        metric.name,
        _value(each.ours, metric),
        _value(each.theirs, metric),
        f"{each.ratio:.2f} ×" if metric.compared else "",
        each.peer,
        _target(each) + {True: " ✓", False: " ✗", None: ""}[each.met],
    ]


def _value(value: float, metric: Metric) -> str:
    shown = f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"
    return f"{shown} {metric.unit}".strip()


def _target(each: Comparison) -> str:
    metric = each.metric
    sign = "≥" if metric.higher_is_better else "≤"
    parts = [f"ratio ≥ {each.aim:.2g}"] if each.aim is not None else []
    if metric.target is not None:
        parts.append(f"{sign} {metric.target:,g} {metric.unit}")
    return ", ".join(parts)
