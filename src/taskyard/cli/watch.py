"""`taskyard watch ID`: a task as it happens, with a progress bar, until it ends."""

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated

import msgspec
import typer
from rich.markup import escape
from rich.progress import BarColumn, TaskProgressColumn, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly
from taskyard.cli.tasks import DEFAULT_API, Api, Json
from taskyard.client import Change, Client, Gap, LogLine, News, Progress

_STYLES = {"succeeded": "green", "failed": "red", "quarantined": "red", "running": "cyan"}


@exits_cleanly
def watch(
    task: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Watch a task until it ends: its progress, log and states. Exit code 0 if it succeeded.

    With --json each event is a line of its own.
    """
    with Client(api, key=bootstrap.api_key()) as client:
        news = client.watch(task)
        state = _print_all(news) if as_json else _show(news)
    raise typer.Exit(0 if state == "succeeded" else 1)


def _print_all(news: Iterable[News]) -> str:
    state = ""
    for each in news:
        line = {"id": each.id, "kind": _KINDS.get(type(each.data), "change"), "data": each.data}
        typer.echo(msgspec.json.encode(line).decode())
        if isinstance(each.data, Change):
            state = each.data.state
    return state


_KINDS = {Progress: "progress", LogLine: "log", Gap: "gap"}


def _show(news: Iterable[News]) -> str:
    """Show a bar below the lines; return the last state."""
    state = ""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn())
    with Bars(*columns, console=console, transient=True) as bars:
        bar = bars.add_task("waiting", total=1.0)
        for each in news:
            match each.data:
                case Change() as change:
                    state = change.state
                    bars.console.print(_state_line(change))
                    bars.update(bar, description=state)
                case LogLine() as line:
                    bars.console.print(_log_line(line))
                case Progress() as progress:
                    said = progress.message or "running"
                    bars.update(bar, completed=progress.fraction, description=escape(said))
                case Gap() as gap:
                    bars.console.print(Text(gap.reason, style="yellow"))
    return state


def _time(at: datetime) -> str:
    return at.strftime("%H:%M:%S.%f")[:-3] + "  "


def _state_line(change: Change) -> Text:
    line = Text(_time(change.at), style="dim")
    line.append(change.state, style=_STYLES.get(change.state, "yellow"))
    details = [f"attempt {change.attempt}" if change.attempt else "", change.reason or ""]
    details.append(change.error.message if change.error else "")
    return line.append("  " + "  ".join(filter(None, details)), style="dim")


def _log_line(line: LogLine) -> Text:
    fields = "".join(f"  {name}={value}" for name, value in line.fields.items())
    shown = Text(_time(line.at), style="dim").append(line.text, style="none")
    return shown.append(fields, style="dim")
