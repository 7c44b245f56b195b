"""`taskyard tenants …`: what each tenant may submit and hold, straight in the database."""

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import typer

from taskyard import bootstrap
from taskyard.cli.report import cell, console, exits_cleanly, fail, table
from taskyard.core.principal import TenantId
from taskyard.core.quotas import READERS
from taskyard.storage.quotas import TenantStatus

tenants = typer.Typer(help="Tenants: their limits, and what they hold.", no_args_is_help=True)

_COLUMNS = ("name", "weight", "limits", "in_flight", "queued", "stored", "created_at")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
_NONE, _DEFAULT = "none", "default"

Name = Annotated[str, typer.Argument(help="The tenant's name.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@tenants.command("list")
@exits_cleanly
def list_tenants(as_json: Json = False) -> None:
    """List the tenants; what has no limit is not counted."""
    _show(asyncio.run(bootstrap.list_tenants(bootstrap.settings())), as_json)


@tenants.command()
@exits_cleanly
def show(name: Name, as_json: Json = False) -> None:
    """Show one tenant."""
    found = asyncio.run(bootstrap.list_tenants(bootstrap.settings(), TenantId(name)))
    if not found:
        raise fail(f"there is no tenant {name!r} with settings of its own")
    _show(found, as_json)


@tenants.command("set")
@exits_cleanly
def set_tenant(
    name: Name,
    rate: Annotated[str | None, typer.Option(help="Tasks submitted, such as 100/s.")] = None,
    in_flight: Annotated[str | None, typer.Option(help="Tasks that have not ended.")] = None,
    queued: Annotated[str | None, typer.Option(help="Those of them that wait.")] = None,
    stored: Annotated[str | None, typer.Option(help="Bytes, such as 10GiB.")] = None,
    weight: Annotated[
        float | None, typer.Option(min=0.001, max=1000, help="Its share where several wait.")
    ] = None,
) -> None:
    """Set limits of a tenant; `none` is unlimited, `default` is what routing/limits.toml says.

    API processes know of it within two seconds.
    """
    if not _NAME.fullmatch(name):
        raise fail(f"{name!r} is no name for a tenant: up to 63 of a-z, 0-9, _ and -")
    said = {"rate": rate, "in_flight": in_flight, "queued": queued, "stored": stored}
    limits = {key: _limit(key, text) for key, text in said.items() if text not in (None, _DEFAULT)}
    without = [key for key, text in said.items() if text == _DEFAULT]
    given = bootstrap.settings()
    changed = bootstrap.set_tenant(
        given, TenantId(name), limits=limits, without=without, weight=weight
    )
    asyncio.run(changed)
    _show(asyncio.run(bootstrap.list_tenants(given, TenantId(name))), as_json=False)


def _limit(key: str, text: str | None) -> Any:
    """Return a limit as it is stored, once it is known that it can be read."""
    if text is None or text == _NONE:
        return None
    value: Any = int(text) if key in ("in_flight", "queued") and text.isdigit() else text
    try:
        READERS[key](value)
    except ValueError as error:
        raise fail(f"--{key.replace('_', '-')} {error}") from None
    return value


def _show(found: Sequence[TenantStatus], as_json: bool) -> None:
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
        return
    shown = table(_COLUMNS)
    for each in found:
        limits = ", ".join(f"{key} {value or _NONE}" for key, value in sorted(each.limits.items()))
        shown.add_row(
            each.name, f"{each.weight:g}", limits or _DEFAULT, cell(each.in_flight),
            cell(each.queued), cell(each.stored), cell(each.created_at),
        )  # fmt: skip
    console.print(shown)
