"""`taskyard statistics`: what was done, waited, ran and failed, over a time."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, fail, hush, table
from taskyard.cli.top import seconds_of
from taskyard.core.statistics import Durations
from taskyard.services.charts import STRETCHES, Line, Wish

_COLUMNS = ("ended", "failed", "wait p50", "wait p95", "run p50", "run p95")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a pool or a type comes to; times in seconds, `failed` is a share."""

    name: str
    ended: int
    failed: float | None
    wait_p50: float | None
    wait_p95: float | None
    run_p50: float | None
    run_p95: float | None


@exits_cleanly
def statistics(
    last: Annotated[str, typer.Option(help="1h, 6h, 24h, 7d or 30d.")] = "24h",
    pool: Annotated[str | None, typer.Option(help="The types of this pool.")] = None,
    task_type: Annotated[str | None, typer.Option("--type", help="This task type.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what was done, waited, ran and failed, by pool or type, of all tenants."""
    if last not in STRETCHES:
        raise fail(f"--last {last}: is none of {', '.join(STRETCHES)}")
    given = bootstrap.settings("dispatcher")
    hush()
    wish = Wish(stretch=STRETCHES[last], pool=pool, type=task_type)
    rows = [_row(line) for line in asyncio.run(bootstrap.read_chart(given, wish)).lines]
    if as_json:
        typer.echo(msgspec.json.encode(rows))
    else:
        _show(rows, "type" if pool or task_type else "pool")


def _row(line: Line) -> Row:
    wait, run = _together(line.wait), _together(line.run)
    return Row(
        name=line.name,
        ended=line.ended,
        failed=line.failed_of_all,
        wait_p50=wait.percentile(0.5),
        wait_p95=wait.percentile(0.95),
        run_p50=run.percentile(0.5),
        run_p95=run.percentile(0.95),
    )


def _together(steps: Iterable[Durations | None]) -> Durations:
    return sum((each for each in steps if each), Durations())


def _show(rows: Iterable[Row], of: str) -> None:
    shown = table((of, *_COLUMNS))
    for column in shown.columns[1:]:
        column.justify = "right"
    for row in rows:
        times = map(seconds_of, (row.wait_p50, row.wait_p95, row.run_p50, row.run_p95))
        failed = "-" if row.failed is None else f"{row.failed:.1%}"
        shown.add_row(Text(row.name), f"{row.ended:,}", failed, *times)
    console.print(shown)
