"""`taskyard sessions …`: who is logged in with a browser, and ending it."""

import asyncio
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, fail, show
from taskyard.core.principal import TenantId
from taskyard.core.session import SessionId, Whose

sessions = typer.Typer(help="Who is logged in with a browser.", no_args_is_help=True)

_COLUMNS = ("id", "tenant", "principal", "scopes", "began_at", "seen_at", "ends_at")

Tenant = Annotated[str | None, typer.Option(help="Only this tenant's.")]
By = Annotated[str | None, typer.Option(help="Only theirs, such as key:tk_3f9a.")]


@sessions.command("list")
@exits_cleanly
def list_sessions(
    tenant: Tenant = None,
    principal: By = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 500,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the open sessions, the latest first."""
    whose = Whose(tenant=TenantId(tenant) if tenant else None, principal=principal)
    found = asyncio.run(bootstrap.list_sessions(bootstrap.settings(), whose, limit=limit))
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
    else:
        show(found, _COLUMNS)


@sessions.command()
@exits_cleanly
def end(
    session: Annotated[
        UUID | None, typer.Argument(help="As the list shows it.", show_default=False)
    ] = None,
    tenant: Tenant = None,
    principal: By = None,
) -> None:
    """End one session, or all of a tenant or principal, for every copy of the cookie.

    Within two seconds no process lets them in any more.
    """
    if session is None and tenant is None and principal is None:
        raise fail("say which: a session, --tenant or --principal")
    whose = Whose(
        tenant=TenantId(tenant) if tenant else None,
        principal=principal,
        id=None if session is None else SessionId(session),
    )
    ended = asyncio.run(bootstrap.end_sessions(bootstrap.settings(), whose))
    if not ended:
        raise fail("there is no such session")
    for each in ended:
        console.print(f"{each.id} of {each.principal} is ended", markup=False)
