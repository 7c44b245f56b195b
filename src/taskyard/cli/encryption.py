"""`taskyard encryption …`: which keys sealed what is stored, and writing it anew."""

import asyncio
import json
from dataclasses import asdict
from typing import Annotated

import typer

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, table
from taskyard.core.sealed import PLAIN
from taskyard.storage.encryption import Renewal

encryption = typer.Typer(help="Encryption of what callers send, at rest.", no_args_is_help=True)


@encryption.command()
@exits_cleanly
def status(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Count what is stored, by the key that sealed it; reads the whole database.

    Exit code 2 when a key is needed that TASKYARD_ENCRYPTION_KEYS does not name.
    """
    given = bootstrap.settings()
    found = asyncio.run(bootstrap.encryption_status(given))
    keys = given.encryption_keys
    missing = {each.key for each in found} - {PLAIN, *keys.secrets}
    if as_json:
        counts = [asdict(each) for each in found]
        shown = {"active": keys.active, "missing": sorted(missing), "counts": counts}
        console.print(json.dumps(shown), markup=False)
    else:
        counted = table(("kind", "key", "count"))
        for each in found:
            counted.add_row(each.kind, each.key, str(each.count))
        console.print(counted)
        console.print(f"active: {keys.active or PLAIN}", markup=False)
        for key in sorted(missing):
            console.print(f"the key {key!r} is not in TASKYARD_ENCRYPTION_KEYS", markup=False)
    if missing:
        raise typer.Exit(2)


@encryption.command()
@exits_cleanly
def reencrypt() -> None:
    """Write anew, with the active key, what another one sealed or none.

    Everything goes on meanwhile. Broken off, it may be begun again. Exit code 2 when something is
    left that no key opens.
    """
    came = asyncio.run(bootstrap.reencrypt(bootstrap.settings(), _tell))
    for kind, renewal in came.items():
        for problem in renewal.problems:
            console.print(f"{kind}: {problem}", markup=False)
    left = sum(renewal.left for renewal in came.values())
    written = sum(renewal.written for renewal in came.values())
    console.print(f"{written} rows written anew, {left} left", markup=False)
    if left:
        raise typer.Exit(2)


def _tell(kind: str, renewal: Renewal) -> None:
    if renewal.written or renewal.left:
        console.print(f"{kind}: {renewal.written} written, {renewal.left} left", markup=False)
