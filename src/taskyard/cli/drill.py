"""`taskyard drill`: prove on this machine that this deployment loses nothing."""

from pathlib import Path
from typing import Annotated

import typer

from taskyard.cli.report import exits_cleanly
from taskyard.drill.suite import Wanted, run


@exits_cleanly
def drill(
    tasks: Annotated[int, typer.Option(min=1, help="How many tasks, over all seeds.")] = 300,
    seeds: Annotated[
        str, typer.Option(help="Numbers with commas between; a drill for each.")
    ] = "1",
    faults: Annotated[int, typer.Option(min=0, help="How many faults, over all seeds.")] = 10,
    fault: Annotated[
        list[str] | None, typer.Option(help="Only faults of this name; may be repeated.")
    ] = None,
    longest: Annotated[
        float | None, typer.Option(min=0, help="Only faults that last at most so many seconds.")
    ] = None,
    mix: Annotated[
        Path | None,
        typer.Option(help="What to submit; drill.toml in the routing folder, if unsaid."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print figures as JSON.")] = False,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a table of the figures to this file.")
    ] = None,
) -> None:
    """Strike private servers and this deployment's workers, and report what was lost."""
    wanted = Wanted(
        tasks=tasks,
        seeds=_numbers(seeds),
        faults=faults,
        only=fault or (),
        longest=longest,
        mix=mix,
        as_json=as_json,
        markdown=markdown,
    )
    raise typer.Exit(run(wanted))


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not numbers with commas between", param_hint="--seeds"
        ) from None
