"""`taskyard top`: pools, queues and what runs longest, live."""

import asyncio
from datetime import timedelta
from typing import Annotated

import msgspec
import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, hush, table
from taskyard.core.errors import StorageUnavailable
from taskyard.core.units import show_duration
from taskyard.services.overview import Overview, PoolOverview
from taskyard.settings import Settings

_POOLS = (
    "pool", "workers", "slots", "running", "waiting", "with the broker", "in the queue", "starts/s",
    "wait p50", "wait p90",
)  # fmt: skip
_LONGEST = ("id", "type", "tenant", "worker", "attempt", "runs for", "done")


@exits_cleanly
def top(
    once: Annotated[bool, typer.Option("--once", help="Show it once and end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, a line each time.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 1.0,
) -> None:
    """Show pools, queues and the attempts that run longest, until Ctrl-C."""
    given = bootstrap.settings("dispatcher")
    hush()
    asyncio.run(_once(given, as_json) if once else _follow(given, as_json, every))


async def _once(given: Settings, as_json: bool) -> None:
    async with bootstrap.open_overview(given) as read:
        found = await read()
    if as_json:
        typer.echo(msgspec.json.encode(found))
    else:
        console.print(_page(found))


async def _follow(given: Settings, as_json: bool, every: float) -> None:
    """Look again and again; servers that are away are waited for."""
    # The alternate screen leaves the terminal as it was.
    live = Live(console=console, screen=console.is_terminal, auto_refresh=False)
    async with bootstrap.open_overview(given) as read:
        if as_json:
            while True:
                typer.echo(msgspec.json.encode(await read()))
                await asyncio.sleep(every)
        with live:
            while True:
                live.update(await _look(read), refresh=True)
                await asyncio.sleep(every)


async def _look(read: bootstrap.ReadOverview) -> RenderableType:
    try:
        return _page(await read())
    except StorageUnavailable as error:
        return Text(error.detail, style="red")


def _page(found: Overview) -> Group:
    parts: list[RenderableType] = [_pools(found)]
    if not found.broker_up:
        parts.insert(0, Text("the message broker does not answer", style="red"))
    if found.longest:
        parts.append(_longest(found))
    return Group(*parts)


def _pools(found: Overview) -> Table:
    shown = table(_POOLS)
    for column in shown.columns[1:]:
        column.justify = "right"
    for pool in found.pools:
        shown.add_row(
            _name(pool),
            _number(pool.workers), _number(pool.slots), _number(pool.running),
            _number(pool.waiting), _held(pool), _number(pool.ready), f"{pool.rate:.1f}",
            seconds_of(pool.wait_p50), seconds_of(pool.wait_p90),
        )  # fmt: skip
    return shown


def _name(pool: PoolOverview) -> Text:
    if pool.paused_at is not None:
        return Text(f"{pool.name} (paused)", style="yellow")
    return Text(pool.name, style="red" if pool.workers == 0 else "")


def _longest(found: Overview) -> Table:
    shown = table(_LONGEST)
    for each in found.longest:
        done = "-" if each.fraction is None else f"{each.fraction:.0%}"
        cells = (str(each.id), each.type, each.tenant, each.worker or "-")
        shown.add_row(*map(Text, cells), str(each.attempt), seconds_of(each.seconds), done)
    return shown


def _held(pool: PoolOverview) -> str:
    return f"{pool.held}/{_number(pool.window)}"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def seconds_of(value: float | None) -> str:
    """Return a time as short as it matters: 12ms, 1.2s, 3m20s."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.0f}ms"
    if value < 60:
        return f"{value:.1f}s"
    return show_duration(timedelta(seconds=round(value)))
