"""How commands speak: results on stdout, faults on stderr, and no stack trace to a user."""

import functools
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ParamSpec, TypeVar

import psycopg
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from taskyard.client import ClientError, TaskError
from taskyard.core.errors import TaskyardError
from taskyard.dev.install import Missing
from taskyard.redaction import redacted

P = ParamSpec("P")
R = TypeVar("R")

console = Console(soft_wrap=True, highlight=False)
stderr = Console(stderr=True, soft_wrap=True, highlight=False)


def fail(message: str, faults: tuple[object, ...] = ()) -> typer.Exit:
    """Say what went wrong, each fault on a line; return the exit to raise."""
    stderr.print(f"[red]taskyard:[/] {redacted(message)}", markup=True)
    for fault in faults:
        stderr.print(f"  {redacted(str(fault))}", markup=False)
    return typer.Exit(2)


def exits_cleanly(command: Callable[P, R]) -> Callable[P, R]:
    """Turn known errors into a sentence and exit code 2, and Ctrl-C into exit code 130."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except TaskyardError as error:
            raise fail(error.detail, error.faults) from error
        except (ClientError, Missing, ChildProcessError, TimeoutError) as error:
            raise fail(str(error)) from error
        except psycopg.OperationalError as error:
            raise fail(f"the database does not answer: {str(error).strip()}") from error
        except KeyboardInterrupt:
            raise typer.Exit(130) from None

    return run


def hush() -> None:
    """Keep what libraries log off the terminal; the command says itself what does not answer."""
    logging.getLogger().addHandler(logging.NullHandler())


def table(columns: Sequence[str]) -> Table:
    """Return an empty table that cuts nothing off; ids stay on one line, so as to be copied."""
    made = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, no_wrap=column in ("id", "key", "sample"), overflow="fold")
    return made


def show(items: Sequence[object], columns: Sequence[str]) -> None:
    """Print a table with a row for each item, of its attributes of these names."""
    shown = table(columns)
    for item in items:
        shown.add_row(*(escape(cell(getattr(item, column))) for column in columns))
    console.print(shown)


def cell(value: object) -> str:
    """Return what stands in a cell of a table."""
    match value:
        case None:
            return "-"
        case TaskError():
            return f"{value.code}: {value.message}"
        case datetime():
            return f"{value:%FT%TZ}"
        case tuple():
            return ", ".join(map(cell, value))
        case _:
            return str(value)
