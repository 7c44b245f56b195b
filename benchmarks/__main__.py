"""`python -m benchmarks`: measure Taskyard and its peers, print the ratios."""

import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import report
from benchmarks.matches import Plan
from benchmarks.run import CASES, bench

_app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
_stderr = Console(stderr=True, highlight=False, soft_wrap=True)


@_app.command()
def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"A case, repeatable: {', '.join(CASES)}.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="How often each is measured.")] = None,
    quick: Annotated[bool, typer.Option(help="A short look; not numbers to quote.")] = False,
    api_workers: Annotated[
        int, typer.Option(min=1, help="Processes of our API; gunicorn has 2.")
    ] = 2,
    markdown: Annotated[bool, typer.Option(help="Print the table as Markdown.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the run keeps its files.")] = Path(
        ".taskyard"
    ),
) -> None:
    """Measure Taskyard and its peers on the same work, in alternating rounds of one run."""
    if unknown := set(only or ()) - set(CASES):
        raise typer.BadParameter(f"no such case: {', '.join(sorted(unknown))}")
    # As Ctrl-C: everything is stopped. Worker processes may stand still just then.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    plan = _plan(quick=quick, rounds=rounds)
    found = report.Findings(report.conditions())
    try:
        bench(plan, folder, only or (), api_workers=api_workers, say=_say, found=found)
    except KeyboardInterrupt:
        _say("stopped; what was measured until then:")
        raise typer.Exit(130) from None
    finally:
        if found.comparisons or found.sheets:
            report.write(folder, found)
            _show(found, markdown=markdown)


def _plan(*, quick: bool, rounds: int | None) -> Plan:
    plan = Plan.short() if quick else Plan.full()
    return plan if rounds is None else replace(plan, rounds=rounds)


def _say(text: str) -> None:
    _stderr.print(text, markup=False)


def _show(found: report.Findings, *, markdown: bool) -> None:
    # Not a terminal: no reason to fold the table into 80 columns.
    console = Console(width=None if sys.stdout.isatty() else 200)
    if markdown:
        console.print(report.markdown(found), markup=False, soft_wrap=True)
        return
    if found.comparisons:
        console.print(report.table(found.comparisons))
    for sheet in found.sheets:
        console.print(report.sheet_table(sheet))


if __name__ == "__main__":
    _app()
