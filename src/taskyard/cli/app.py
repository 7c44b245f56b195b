"""`taskyard …`: the commands that run the roles and prepare their surroundings."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from taskyard import bootstrap, logs
from taskyard.cli import dead_letters, many_tasks, tasks
from taskyard.cli.audit import audit
from taskyard.cli.check import check
from taskyard.cli.doctor import doctor
from taskyard.cli.drill import drill
from taskyard.cli.encryption import encryption
from taskyard.cli.events import events
from taskyard.cli.keys import keys
from taskyard.cli.pools import pools
from taskyard.cli.report import console, exits_cleanly
from taskyard.cli.resources import resources
from taskyard.cli.sessions import sessions
from taskyard.cli.statistics import statistics
from taskyard.cli.tenants import tenants
from taskyard.cli.top import top
from taskyard.cli.topology import topology
from taskyard.cli.watch import watch
from taskyard.cli.webhooks import webhooks
from taskyard.dev.up import up as start
from taskyard.settings import Settings

app = typer.Typer(
    name="taskyard",
    help="A task gateway in front of RabbitMQ and Celery.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
app.add_typer(topology, name="topology")
app.add_typer(tasks.tasks, name="tasks")
app.add_typer(pools, name="pools")
tasks.tasks.command(name="cancel")(many_tasks.cancel)
tasks.tasks.command(name="reprioritise")(many_tasks.reprioritise)
tasks.tasks.command(name="replay")(many_tasks.replay)
app.command(name="reprioritise")(tasks.reprioritise)
app.command(name="resources")(resources)
app.command(name="watch")(watch)
app.command(name="top")(top)
app.command(name="statistics")(statistics)
app.add_typer(dead_letters.dead_letters, name="dead-letters")
app.command(name="replay")(dead_letters.replay)
app.command(name="attempts")(dead_letters.attempts)
app.command(name="check")(check)
app.command(name="doctor")(doctor)
app.command(name="drill")(drill)
app.add_typer(events, name="events")
app.add_typer(audit, name="audit")
app.add_typer(encryption, name="encryption")
app.add_typer(keys, name="keys")
app.add_typer(sessions, name="sessions")
app.add_typer(tenants, name="tenants")
app.add_typer(webhooks, name="webhooks")


@app.command()
@exits_cleanly
def api() -> None:
    """Serve the HTTP API."""
    bootstrap.serve_api(_settings("api"))


@app.command()
@exits_cleanly
def dispatcher() -> None:
    """Publish what is due, promote what becomes due, expire what is too late."""
    bootstrap.run_until_signal(bootstrap.run_dispatcher(_settings("dispatcher")))


@app.command()
@exits_cleanly
def ingest() -> None:
    """Take events from the broker and make tasks of them."""
    bootstrap.run_until_signal(bootstrap.run_ingest(_settings("ingest")))


@app.command()
@exits_cleanly
def worker(
    pool: Annotated[str, typer.Argument(help="A pool of the routing table, such as media.")],
) -> None:
    """Run a Celery worker for one pool."""
    raise typer.Exit(bootstrap.run_worker(_settings(f"worker {pool}"), pool))


@app.command()
@exits_cleanly
def migrate() -> None:
    """Bring the database schema up to date."""
    applied = asyncio.run(bootstrap.migrate_database(bootstrap.settings()))
    console.print("\n".join(f"applied {name}" for name in applied) or "the schema is up to date")


@app.command(context_settings={"ignore_unknown_options": True})
@exits_cleanly
def up(
    command: Annotated[
        list[str] | None,
        typer.Argument(help="Run this once all is ready, then stop; write it after --."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line when all is ready, nothing else.")
    ] = False,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="The API's port; 8000 if it is free.")
    ] = None,
    folder: Annotated[Path, typer.Option(help="Where the private servers keep their data.")] = Path(
        ".taskyard"
    ),
) -> None:
    """Start everything on private servers, and stay up until Ctrl-C."""
    code = start(folder=folder, as_json=as_json, port=port, command=command or [])
    raise typer.Exit(code)


def _settings(role: str) -> Settings:
    given = bootstrap.settings(role)
    logs.configure(
        log_format=given.log_format, level=given.log_level, role=role, secrets=given.secrets
    )
    return given
