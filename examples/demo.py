"""The demo: real work over HTTP into three pools, watched until it is done.

taskyard up -- python examples/demo.py
"""

import os
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from taskyard.client import Client, ClientError, Task

LABELS = {"demo": str(os.getpid())}
PATIENCE = 120.0  # seconds

Json = dict[str, Any]


def wishes() -> list[Json]:
    """Return what is asked for: thumbnails in many sizes, conversions, reports, summaries."""
    thumbnails = [
        {"type": "image.thumbnail", "args": {"source": source, "width": width}, "priority": urgency}
        for source in ("inputs/coffee.png", "inputs/chelsea.png")
        for width, urgency in ((32, 9), (64, 7), (128, 5), (192, 5), (256, 3), (384, 1), (512, 0))
    ]
    conversions = [
        {"type": "image.convert", "args": {"source": source, "format": kind}, "priority": 4}
        for source in ("inputs/coffee.png", "inputs/chelsea.png")
        for kind in ("jpeg", "webp", "png")
    ]
    reports = [
        {
            "type": "report.render",
            "args": {
                "source": "inputs/airports.csv",
                "title": f"US airports, the first {rows}",
                "columns": ["iata", "name", "city", "state"],
                "chart": "state",
                "rows": rows,
                "target": f"outputs/airports-{rows}.pdf",
            },
            "priority": urgency,
        }
        for rows, urgency in ((50, 8), (200, 6), (500, 4), (1000, 2))
    ]
    summaries = [
        {"type": "table.summarize", "args": {"source": source, **more}, "priority": urgency}
        for source in ("inputs/airports.csv", "inputs/airports.parquet")
        for more, urgency in (
            ({}, 6),
            ({"group_by": "state"}, 5),
            ({"columns": ["latitude", "longitude"]}, 3),
            ({"group_by": "country", "columns": ["name"]}, 1),
        )
    ]
    return [*thumbnails, *conversions, *reports, *summaries]


def submit(client: Client) -> list[str]:
    """Submit most tasks one by one, the summaries as a batch, and one for a second from now."""
    asked = wishes()
    singles = [wish for wish in asked if wish["type"] != "table.summarize"]
    batch = [{**wish, "labels": LABELS} for wish in asked if wish["type"] == "table.summarize"]
    accepted = [
        client.submit(wish["type"], wish["args"], priority=wish["priority"], labels=LABELS).id
        for wish in singles
    ]
    accepted += [item.id for item in client.submit_batch(batch).items if item.id]
    later = {"source": "inputs/coffee.png", "width": 1024}
    accepted.append(client.submit("image.thumbnail", later, delay="1s", labels=LABELS).id)
    return accepted


def watch(client: Client, ids: list[str], console: Console) -> list[Task]:
    """Show the tasks move until all have ended; return them in the order of submission."""
    deadline = time.monotonic() + PATIENCE
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        bars: dict[str, Any] = {}
        while True:
            tasks = list(client.list(label=[f"demo:{LABELS['demo']}"]))
            for pool in sorted({task.pool for task in tasks}):
                mine = [task for task in tasks if task.pool == pool]
                if pool not in bars:
                    bars[pool] = progress.add_task(pool)
                ended = sum(task.ended for task in mine)
                # A running task counts for the part it has told of.
                partly = sum(
                    task.progress.fraction
                    for task in mine
                    if task.state == "running" and task.progress
                )
                progress.update(bars[pool], total=len(mine), completed=round(ended + partly, 1))
            if all(task.ended for task in tasks):
                break
            if time.monotonic() > deadline:
                raise TimeoutError(f"the tasks have not ended within {PATIENCE:g} s")
            time.sleep(0.1)  # between two looks
    order = {task_id: place for place, task_id in enumerate(ids)}
    return sorted(tasks, key=lambda task: order[task.id])


def report(tasks: list[Task], console: Console) -> None:
    """Print a table of what was done."""
    table = Table(title=f"{len(tasks)} tasks")
    for heading in ("task", "type", "pool", "priority", "state", "waited", "ran", "result"):
        table.add_column(heading, justify="right" if heading in ("waited", "ran") else "left")
    for task in tasks:
        table.add_row(
            task.id[-12:],
            task.type,
            task.pool,
            str(task.priority),
            task.state,
            _span(task.due_at, task.started_at),
            _span(task.started_at, task.finished_at),
            _short(task),
        )
    console.print(table)


def _span(start: datetime | None, end: datetime | None) -> str:
    if start is None or end is None:
        return "-"
    seconds = (end - start).total_seconds()
    return f"{seconds * 1000:.0f} ms"


def _short(task: Task) -> str:
    if task.error:
        return task.error.message
    result = task.result or {}
    if "file" in result:
        return f"{result['file']} ({result['bytes'] / 1024:.0f} KiB)"
    return f"{result.get('rows')} rows, {len(result.get('columns', ()))} columns"


def main() -> int:
    """Run the demo; return the exit code."""
    console = Console(width=None if sys.stdout.isatty() else 150)
    url = os.environ.get("TASKYARD_API_URL")
    if not url:
        console.print("TASKYARD_API_URL is not set; run: taskyard up -- python examples/demo.py")
        return 2
    try:
        with Client(url, key=os.environ.get("TASKYARD_API_KEY")) as client:
            ids = submit(client)
            console.print(f"{len(ids)} tasks submitted to {url}")
            tasks = watch(client, ids, console)
    except (ClientError, TimeoutError) as error:
        console.print(f"[red]the demo stopped:[/] {error}")
        return 1
    report(tasks, console)
    failed = [task for task in tasks if not task.succeeded]
    console.print(f"The files are in {Path('.taskyard/files').resolve()}")
    if failed:
        console.print(f"[red]{len(failed)} of {len(tasks)} tasks did not succeed[/]")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
