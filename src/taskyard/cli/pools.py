"""`taskyard pools …`: how pools stand; pause and resume them."""

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from taskyard.cli import report
from taskyard.cli.report import cell, console, exits_cleanly, table
from taskyard.cli.tasks import DEFAULT_API, Api, Json, print_json, reach
from taskyard.client.yard_documents import Pool
from taskyard.core.units import show_ago

_WORKER = ("name", "slots", "running", "started_at", "seen_at", "draining_since")
_ATTEMPT = ("id", "type", "worker", "attempt", "seconds", "fraction")

pools = typer.Typer(help="Pools: list, show, pause, resume, drain a worker.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="POOL", help="Such as media.")]

_COLUMNS = (
    "name", "depth", "consumers", "concurrency", "running", "paused", "tasks",
)  # fmt: skip


@pools.command("list")
@exits_cleanly
def list_pools(as_json: Json = False, api: Api = DEFAULT_API) -> None:
    """Show the pools: what waits, who consumes, what runs, which are paused."""
    with reach(api) as client:
        found = client.pools()
    if as_json:
        print_json(found)
        return
    shown = table(_COLUMNS)
    for pool in found.items:
        fields = msgspec.structs.asdict(pool)
        fields |= {"tasks": ", ".join(pool.tasks), "paused": _paused(pool)}
        shown.add_row(*(escape(cell(fields[column])) for column in _COLUMNS))
    console.print(shown)


@pools.command()
@exits_cleanly
def show(pool: Name, as_json: Json = False, api: Api = DEFAULT_API) -> None:
    """Show the workers of a pool, and what runs there."""
    with reach(api) as client:
        found = client.pool(pool)
    if as_json:
        print_json(found)
        return
    console.print(
        f"{pool}: {'paused ' + escape(_paused(found) or '') if found.paused else 'works'}"
    )
    report.show(found.workers, _WORKER)
    report.show(found.attempts, _ATTEMPT)


@pools.command()
@exits_cleanly
def pause(
    pool: Name,
    reason: Annotated[str | None, typer.Option(help="Shown to whoever asks why.")] = None,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Begin nothing of a pool until it is resumed; what runs goes on."""
    with reach(api) as client:
        found = client.pause_pool(pool, reason=reason)
    if as_json:
        print_json(found)
        return
    console.print(f"{pool}: paused {escape(_paused(found) or '')}; {found.running} still run")


@pools.command()
@exits_cleanly
def resume(pool: Name, as_json: Json = False, api: Api = DEFAULT_API) -> None:
    """Go on with a pool."""
    with reach(api) as client:
        found = client.resume_pool(pool)
    if as_json:
        print_json(found)
        return
    console.print(f"{pool}: resumed")


@pools.command()
@exits_cleanly
def drain(
    worker: Annotated[str, typer.Argument(metavar="WORKER", help="As `show` names it.")],
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Have one worker end what it runs, and leave."""
    with reach(api) as client:
        found = client.drain_worker(worker)
    if as_json:
        print_json(found)
        return
    console.print(f"{found.name}: leaves once its {found.running} running tasks have ended")


def _paused(pool: Pool) -> str | None:
    if pool.paused is None:
        return None
    since = show_ago(datetime.now(UTC) - pool.paused.since)
    return f"{since} ({pool.paused.reason})" if pool.paused.reason else since
