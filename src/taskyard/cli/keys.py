"""`taskyard keys …`: API keys, made and ended straight in the database."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from taskyard import bootstrap
from taskyard.cli.report import cell, console, exits_cleanly, fail, table
from taskyard.core import units
from taskyard.core.principal import DEFAULT_TENANT, Scope, TenantId
from taskyard.services.keys import KeyWish
from taskyard.storage.api_keys import ApiKey

keys = typer.Typer(help="Make, list, rotate and revoke API keys.", no_args_is_help=True)

_COLUMNS = ("key", "tenant", "name", "scopes", "types", "state", "last_used_at")
_TENANT = "Whose tasks it sees; a new name is a new tenant."
_TYPES = "Only these task types: topic patterns, such as image.*."

Prefix = Annotated[str, typer.Argument(metavar="KEY", help="As the list shows it: tk_3f9a….")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Write the key to this new file, 0600, not to stdout."),
]


@keys.command()
@exits_cleanly
def create(
    name: Annotated[str, typer.Argument(help="What it is for, such as: billing service.")],
    scope: Annotated[
        list[Scope], typer.Option(help="What it may do; repeat it for several.", show_default=False)
    ],
    tenant: Annotated[str, typer.Option(help=_TENANT)] = (DEFAULT_TENANT),
    types: Annotated[
        list[str] | None,
        typer.Option(help=_TYPES),
    ] = None,
    lives: Annotated[str | None, typer.Option(help="Ends after so long, such as 90d.")] = None,
    output: Output = None,
) -> None:
    """Make a key. It is shown once: nobody can tell it again."""
    try:
        span = units.duration(lives) if lives else None
    except ValueError as error:
        raise fail(f"--lives {error}") from None
    wish = KeyWish(
        tenant=TenantId(tenant),
        name=name,
        scopes=frozenset(scope),
        patterns=tuple(types or ("#",)),
        lives=span,
        created_by="taskyard keys",
    )
    _free(output)
    shown, made = asyncio.run(bootstrap.create_key(bootstrap.settings(), wish))
    _hand_over(shown, made, output)


@keys.command("list")
@exits_cleanly
def list_keys(
    tenant: Annotated[str | None, typer.Option(help="Only this tenant's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List keys, without their secrets."""
    found = asyncio.run(
        bootstrap.list_keys(bootstrap.settings(), TenantId(tenant) if tenant else None)
    )
    if as_json:
        console.print_json(msgspec.json.encode(found).decode())
        return
    shown = table(_COLUMNS)
    for each in found:
        shown.add_row(
            f"tk_{each.prefix}", cell(each.tenant), cell(each.name), " ".join(each.scopes),
            cell(" ".join(each.patterns)), _state(each), cell(each.last_used_at),
        )  # fmt: skip
    console.print(shown)


@keys.command()
@exits_cleanly
def rotate(
    key: Prefix,
    overlap: Annotated[str, typer.Option(help="How long the old one stays valid.")] = "1d",
    output: Output = None,
) -> None:
    """Make another key like one; the old one ends after the overlap."""
    try:
        span = units.duration(overlap, zero=True)
    except ValueError as error:
        raise fail(f"--overlap {error}") from None
    _free(output)
    made = asyncio.run(bootstrap.rotate_key(bootstrap.settings(), _prefix(key), span))
    if made is None:
        raise fail(f"there is no valid key {key!r}")
    _hand_over(*made, output)


@keys.command()
@exits_cleanly
def revoke(key: Prefix) -> None:
    """End a key. Within two seconds no process lets it in any more."""
    if asyncio.run(bootstrap.revoke_key(bootstrap.settings(), _prefix(key))) is None:
        raise fail(f"there is no valid key {key!r}")
    console.print(f"tk_{_prefix(key)} is revoked")


def _prefix(key: str) -> str:
    """What names a key in the database; whoever has only the whole key at hand may give that."""
    return key.removeprefix("tk_").split("_")[0]


def _state(key: ApiKey) -> str:
    if key.revoked_at:
        return f"revoked {key.revoked_at:%F}"
    return f"until {key.expires_at:%F %R}" if key.expires_at else "valid"


def _free(output: Path | None) -> None:
    """A key that nobody could be shown would be lost: look first."""
    if output is not None and output.exists():
        raise fail(f"{output} exists; name a new file")


def _hand_over(shown: str, made: ApiKey, output: Path | None) -> None:
    if output is None:
        typer.echo(shown)
        return
    bootstrap.secret_file(output, lambda: shown)
    scopes, types = " ".join(made.scopes), " ".join(made.patterns)
    console.print(
        f"tk_{made.prefix} for the tenant {made.tenant}, {scopes}, types {types}: in {output}",
        markup=False,
    )
