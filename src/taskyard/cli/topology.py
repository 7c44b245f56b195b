"""`taskyard topology …`: the exchanges, queues and bindings in the broker, and its users."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from taskyard import bootstrap
from taskyard.broker.topology import Change, Step
from taskyard.cli.report import console, exits_cleanly
from taskyard.core.errors import BrokerUnavailable, Misconfigured
from taskyard.core.units import duration

topology = typer.Typer(help="Exchanges, queues and bindings in RabbitMQ.", no_args_is_help=True)

Users = Annotated[
    bool, typer.Option("--users", help="The users of the broker too: see TASKYARD_AMQP_ADMIN.")
]


@topology.command()
@exits_cleanly
def plan(users: Users = False) -> None:
    """Show what `apply` would change; exit code 2 when there is something."""
    steps = bootstrap.plan_users(bootstrap.settings()) if users else []
    try:
        steps += asyncio.run(bootstrap.plan_topology(bootstrap.settings("dispatcher")))
    except (Misconfigured, BrokerUnavailable) as error:
        if not steps:
            raise
        # The user that looks at exchanges and queues is among those to be made.
        what = f"exchanges and queues are not compared yet: {error.detail}"
        steps.append(Step(change=Change.NOTE, what=what))
    _show(steps)
    if any(step.change is not Change.NOTE for step in steps):
        raise typer.Exit(2)


@topology.command()
@exits_cleanly
def apply(
    wait: Annotated[
        str, typer.Option(help="Wait so long for workers to empty queues that were replaced.")
    ] = "0s",
    users: Users = False,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Give every user a new password; with --users.")
    ] = False,
) -> None:
    """Make the broker as the routing table wants it; never drops a queue that holds messages.

    Exit code 2 when a queue that was waited for holds messages still.
    """
    try:
        drain = duration(wait, zero=True)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--wait") from error
    if rotate and not users:
        raise typer.BadParameter("goes with --users", param_hint="--rotate")
    done = _apply_users(rotate=rotate) if users else []
    steps = asyncio.run(bootstrap.apply_topology(bootstrap.settings("dispatcher"), drain=drain))
    _show([*done, *steps])
    if drain and any(step.change is Change.DRAIN for step in steps):
        raise typer.Exit(2)


def _apply_users(*, rotate: bool) -> list[Step]:
    given = bootstrap.settings()
    done, new = asyncio.run(bootstrap.apply_users(given, rotate=rotate))
    if given.amqp_users is None:
        _show_passwords(new)
    return done


def _show_passwords(new: Mapping[str, str]) -> None:
    """Show what is kept nowhere, before anything else can fail."""
    for user, password in new.items():
        console.print(f"password of {user}, shown once: {password}", markup=False)


def _show(steps: Sequence[Step]) -> None:
    lines = [str(step) for step in steps] or ["the broker is as the routing table wants it"]
    console.print("\n".join(lines), markup=False)
