"""`taskyard topology …`: the exchanges, queues and bindings in the broker."""

import asyncio

import typer

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly

topology = typer.Typer(help="Exchanges, queues and bindings in RabbitMQ.", no_args_is_help=True)


@topology.command()
@exits_cleanly
def plan() -> None:
    """Show what `apply` would change; exit code 2 when there is something."""
    outcome = asyncio.run(bootstrap.plan_topology(bootstrap.settings()))
    console.print(outcome.text, markup=False)
    if outcome.changes:
        raise typer.Exit(2)


@topology.command()
@exits_cleanly
def apply() -> None:
    """Make the broker as the routing table wants it; never drops a queue that holds messages."""
    console.print(asyncio.run(bootstrap.apply_topology(bootstrap.settings())).text, markup=False)
