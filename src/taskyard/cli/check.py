"""`taskyard check`: whether what is to be deployed fits together, and fits what is there."""

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly
from taskyard.core.errors import Fault
from taskyard.services.live import Misfit


@exits_cleanly
def check(
    live: Annotated[
        bool,
        typer.Option("--live", help="Hold the code against what waits and the dead letters, too."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prove that the routing table and the task code agree; exit code 1 if they do not.

    With --live also that no task which is there already would fail for its arguments.
    """
    # Two folders are compared, so no server need be named; but for what lives on one.
    given = bootstrap.settings() if live else bootstrap.stack_settings()[0]
    announced, faults = bootstrap.check_agreement(given)
    misfits = asyncio.run(bootstrap.check_live(given, announced)) if live else []
    if as_json:
        typer.echo(msgspec.json.encode({"faults": faults, "misfits": misfits}))
    else:
        _show(faults, misfits, live=live)
    if faults or misfits:
        raise typer.Exit(1)


def _show(faults: list[Fault], misfits: list[Misfit], *, live: bool) -> None:
    for fault in faults:
        console.print(f"[red]✗[/] {fault}")
    for misfit in misfits:
        what = "dead letters" if misfit.dead_letters else "tasks that have not ended"
        console.print(
            f"[red]✗[/] {misfit.type}: {misfit.count} {what} would fail, such as {misfit.sample}: "
            + escape(f"{misfit.pointer} {misfit.problem}".strip())
        )
    if not faults:
        console.print("[green]✓[/] every task type has one function, one queue and one pool")
    if live and not misfits:
        console.print("[green]✓[/] everything that waits, and every dead letter, fits the code")
