"""`taskyard audit …`: who did what, and the proof that nobody rewrote it."""

import asyncio
from typing import Annotated

import msgspec
import typer

from taskyard import bootstrap
from taskyard.cli.report import cell, console, exits_cleanly, table
from taskyard.core.audit import Anchor, read_anchor
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.storage.audit import Sought

audit = typer.Typer(help="Who did what; nobody can rewrite it unseen.", no_args_is_help=True)

_COLUMNS = ("entry", "at", "actor", "action", "target", "detail")


@audit.command("list")
@exits_cleanly
def list_entries(
    tenant: Annotated[str, typer.Option(help="Whose.")] = DEFAULT_TENANT,
    actor: Annotated[str | None, typer.Option(help="Only by them, such as key:tk_3f9a.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this, such as task.cancelled.")] = None,
    target: Annotated[str | None, typer.Option(help="Only to this: task:<id>, key:<key>.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON line each.")] = False,
) -> None:
    """List what was done, the latest first."""
    sought = Sought(actor=actor, action=action, target=target)
    found = asyncio.run(
        bootstrap.audit_entries(bootstrap.settings(), TenantId(tenant), sought, limit=limit)
    )
    shown = table(_COLUMNS)
    for each in found:
        if as_json:
            document = msgspec.to_builtins(each, builtin_types=(bytes,))
            del document["previous"]
            document |= {"detail": msgspec.Raw(each.detail.encode()), "hash": each.hash.hex()}
            typer.echo(msgspec.json.encode(document))
        else:
            shown.add_row(
                cell(each.seq), cell(each.at), each.actor, each.action, each.target, each.detail
            )
    if not as_json:
        console.print(shown, markup=False)


def _anchor(text: str) -> Anchor:
    try:
        return read_anchor(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@audit.command()
@exits_cleanly
def verify(
    anchor: Annotated[
        list[Anchor] | None,
        typer.Option(
            parser=_anchor,
            metavar="TENANT@N:HASH",
            help="A head that this printed earlier and that was kept elsewhere; may be repeated.",
        ),
    ] = None,
) -> None:
    """Prove that no entry was changed, removed or moved; exit code 1 if one was.

    What was cut off at the end shows only against an anchor: keep what this prints elsewhere.
    """
    found = asyncio.run(bootstrap.verify_audit(bootstrap.settings(), anchor or []))
    for finding in found:
        for fault in finding.faults:
            console.print(f"{finding.head.tenant}: {fault}", markup=False)
        if not finding.faults:
            console.print(f"{finding.head}  ({finding.entries} entries)", markup=False)
    if not found:
        console.print("nothing has been recorded yet")
    if any(finding.faults for finding in found):
        raise typer.Exit(1)
