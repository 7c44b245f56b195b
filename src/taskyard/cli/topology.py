"""`taskyard topology …`: the exchanges, queues and bindings in the broker."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from taskyard import bootstrap
from taskyard.broker.topology import Change, Step
from taskyard.cli.report import console, exits_cleanly
from taskyard.core.units import duration

topology = typer.Typer(help="Exchanges, queues and bindings in RabbitMQ.", no_args_is_help=True)


@topology.command()
@exits_cleanly
def plan() -> None:
    """Show what `apply` would change; exit code 2 when there is something."""
    steps = asyncio.run(bootstrap.plan_topology(bootstrap.settings()))
    _show(steps)
    if any(step.change is not Change.NOTE for step in steps):
        raise typer.Exit(2)


@topology.command()
@exits_cleanly
def apply(
    wait: Annotated[
        str, typer.Option(help="Wait so long for workers to empty queues that were replaced.")
    ] = "0s",
) -> None:
    """Make the broker as the routing table wants it; never drops a queue that holds messages.

    Exit code 2 when a queue that was waited for holds messages still.
    """
    try:
        drain = duration(wait, zero=True)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from error
    steps = asyncio.run(bootstrap.apply_topology(bootstrap.settings(), drain=drain))
    _show(steps)
    if drain and any(step.change is Change.DRAIN for step in steps):
        raise typer.Exit(2)


def _show(steps: Sequence[Step]) -> None:
    lines = [str(step) for step in steps] or ["the broker is as the routing table wants it"]
    console.print("\n".join(lines), markup=False)
