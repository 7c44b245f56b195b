"""`taskyard doctor`: what is wrong with a deployment, and what to do about it."""

import asyncio
from typing import Annotated

import msgspec
import typer
from rich.markup import escape

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, hush
from taskyard.core.findings import Finding, Verdict, worst
from taskyard.redaction import redacted

_MARKS = {
    Verdict.OK: "[green]✓[/]",
    Verdict.WARNING: "[yellow]![/]",
    Verdict.FAULT: "[red]✗[/]",
}


@exits_cleanly
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Examine servers, schema, topology, workers, clocks and secrets, and say what to do.

    Exit code 0 when all is well, 1 with warnings, 2 with faults.
    """
    hush()
    findings = asyncio.run(_examine(as_json=as_json))
    if as_json:
        typer.echo(msgspec.json.encode({"findings": findings, "exit_code": worst(findings)}))
    raise typer.Exit(worst(findings))


async def _examine(*, as_json: bool) -> list[Finding]:
    findings = []
    async for finding in bootstrap.examine(bootstrap.settings("dispatcher")):
        findings.append(finding)
        if not as_json:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    found = escape(redacted(finding.found))
    console.print(f"{_MARKS[finding.verdict]} {finding.check}: {found}")
    if finding.advice:
        console.print(f"    {escape(finding.advice)}")
