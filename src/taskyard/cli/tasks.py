"""`taskyard tasks …`: a REST client's view of a running gateway."""

import json
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from taskyard import bootstrap
from taskyard.cli.report import cell, console, exits_cleanly, fail, table
from taskyard.client import Client

tasks = typer.Typer(help="Submit, read, list and cancel tasks.", no_args_is_help=True)

Api = Annotated[
    str, typer.Option("--api", envvar="TASKYARD_API_URL", help="Where the API listens.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Error = Annotated[
    str | None,
    typer.Option(help="Words of an error's code or message, the last or its beginning."),
]
DEFAULT_API = "http://127.0.0.1:8000"

REPLAY_TAKES = 300.0  # seconds that the answer to a replay of very many may take
_PATIENCE = 2.0  # seconds; who sits before a terminal would rather be told

_COLUMNS = ("id", "type", "pool", "priority", "state", "attempt", "created_at")


@tasks.command()
@exits_cleanly
def submit(
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="Such as image.thumbnail.")],
    args: Annotated[str, typer.Argument(help="The arguments, a JSON object.")] = "{}",
    priority: Annotated[int | None, typer.Option(min=0, max=9)] = None,
    delay: Annotated[str | None, typer.Option(help="Such as 30s or 5m.")] = None,
    key: Annotated[str | None, typer.Option(help="Idempotency key: one key, one task.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the end and show the task.")] = False,
    api: Api = DEFAULT_API,
) -> None:
    """Submit a task."""
    try:
        arguments = json.loads(args)
    except ValueError as error:
        raise fail(f"ARGS is not JSON: {error}") from error
    with reach(api) as client:
        submit_ = client.submit_and_wait if wait else client.submit
        print_json(
            submit_(task_type, arguments, priority=priority, delay=delay, idempotency_key=key)
        )


@tasks.command()
@exits_cleanly
def show(task: Annotated[str, typer.Argument(metavar="ID")], api: Api = DEFAULT_API) -> None:
    """Show a task, whole."""
    with reach(api) as client:
        print_json(client.get(task))


@tasks.command()
@exits_cleanly
def why(
    task: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Say why a task is not running, or what it does, or how it ended."""
    with reach(api) as client:
        found = client.why(task)
    if as_json:
        print_json(found)
        return
    console.print(f"[bold]{found.code}[/]  {escape(found.sentence)}")
    if found.advice:
        console.print(f"what to do: {escape(found.advice)}")


@tasks.command("list")
@exits_cleanly
def list_tasks(
    task_type: Annotated[str | None, typer.Option("--type")] = None,
    state: Annotated[str | None, typer.Option()] = None,
    pool: Annotated[str | None, typer.Option()] = None,
    label: Annotated[list[str] | None, typer.Option(help="key:value, repeatable.")] = None,
    error: Error = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """List tasks, newest first."""
    with reach(api) as client:
        found = client.page(
            type=task_type, state=state, pool=pool, label=label, error=error, limit=limit
        )
    if as_json:
        print_json(found)
        return
    shown = table(_COLUMNS)
    for task in found.items:
        shown.add_row(*(cell(getattr(task, column)) for column in _COLUMNS))
    console.print(shown)


@exits_cleanly
def reprioritise(
    task: Annotated[str, typer.Argument(metavar="ID")],
    priority: Annotated[int, typer.Argument(min=0, max=9, help="Larger is more urgent.")],
    api: Api = DEFAULT_API,
) -> None:
    """Give a task that waits another priority."""
    with reach(api) as client:
        print_json(client.reprioritise(task, priority))


def reach(api: str, *, timeout: float = 30.0) -> Client:
    """Return a client of the gateway that the command is for; `timeout` is for one answer."""
    return Client(api, key=bootstrap.api_key(), patience=_PATIENCE, timeout=timeout)


def print_json(document: msgspec.Struct) -> None:
    """Print a document as the API gave it."""
    console.print_json(msgspec.json.encode(document).decode())
