"""`taskyard dead-letters …`, `taskyard replay`, `taskyard attempts`: what went wrong, and again."""

import json
from typing import Annotated

import typer

from taskyard.cli.report import console, exits_cleanly, fail, show
from taskyard.cli.tasks import DEFAULT_API, REPLAY_TAKES, Api, Json, print_json, reach

dead_letters = typer.Typer(
    help="Tasks that failed, expired or were quarantined: list, group, replay.",
    no_args_is_help=True,
)

Type = Annotated[str | None, typer.Option("--type", help="Such as image.thumbnail.")]
Pool = Annotated[str | None, typer.Option()]
State = Annotated[str | None, typer.Option(help="failed, expired or quarantined.")]
Code = Annotated[str | None, typer.Option(help="The error's code.")]
Label = Annotated[list[str] | None, typer.Option(help="key:value, repeatable.")]
After = Annotated[str | None, typer.Option(help="Ended at or after this time (RFC 3339).")]
Before = Annotated[str | None, typer.Option(help="Ended before this time (RFC 3339).")]

_COLUMNS = ("id", "type", "state", "generation", "attempt", "finished_at")
_GROUP_COLUMNS = ("count", "type", "state", "code", "message", "last_seen", "sample")
_REFUSAL_COLUMNS = ("id", "code", "detail")
_ATTEMPT_COLUMNS = ("number", "generation", "outcome", "reason", "worker", "started_at", "ended_at")


@dead_letters.command("list")
@exits_cleanly
def list_dead_letters(
    task_type: Type = None,
    pool: Pool = None,
    state: State = None,
    code: Code = None,
    label: Label = None,
    finished_after: After = None,
    finished_before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """List dead letters, newest first."""
    with reach(api) as client:
        found = client.dead_letters(
            type=task_type,
            pool=pool,
            state=state,
            code=code,
            label=label,
            finished_after=finished_after,
            finished_before=finished_before,
            limit=limit,
        )
    if as_json:
        print_json(found)
        return
    show(found.items, (*_COLUMNS, "error"))


@dead_letters.command()
@exits_cleanly
def groups(
    task_type: Type = None,
    pool: Pool = None,
    state: State = None,
    code: Code = None,
    label: Label = None,
    finished_after: After = None,
    finished_before: Before = None,
    limit: Annotated[int, typer.Option(min=1, max=500)] = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Group dead letters by what went wrong, the most frequent first."""
    with reach(api) as client:
        found = client.dead_letter_groups(
            type=task_type,
            pool=pool,
            state=state,
            code=code,
            label=label,
            finished_after=finished_after,
            finished_before=finished_before,
            limit=limit,
        )
    if as_json:
        print_json(found)
        return
    show(found.items, _GROUP_COLUMNS)


@dead_letters.command("replay")
@exits_cleanly
def replay_many(
    task_type: Type = None,
    pool: Pool = None,
    state: State = None,
    code: Code = None,
    label: Label = None,
    finished_after: After = None,
    finished_before: Before = None,
    everything: Annotated[bool, typer.Option("--all", help="Every dead letter is meant.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only tell what would be replayed.")] = False,
    rate: Annotated[float | None, typer.Option(help="Tasks a second; else all at once.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 10_000,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Replay many dead letters, the oldest first."""
    filters = {"type": task_type, "pool": pool, "state": state, "code": code}
    times = {"finished_after": finished_after, "finished_before": finished_before}
    given = {**filters, **times, "labels": labels_of(label or [])}
    with reach(api, timeout=REPLAY_TAKES) as client:
        report = client.replay_dead_letters(
            {name: value for name, value in given.items() if value},
            all=everything,
            dry_run=dry_run,
            rate=rate,
            limit=limit,
        )
    if as_json:
        print_json(report)
        return
    if report.groups:
        show(report.groups, _GROUP_COLUMNS)
    if report.refused:
        console.print(f"{report.refused} would be refused today, and stay as they are:")
        show(report.refusals, _REFUSAL_COLUMNS)
    verb = "would be replayed" if dry_run else "replayed"
    more = "; the limit leaves out the rest" if report.more else ""
    console.print(f"{report.count} {verb} over {report.spread}{more}", markup=False)
    if report.stopped:
        console.print(f"{report.left} are left: {report.stopped.detail}", markup=False)


@exits_cleanly
def replay(
    task: Annotated[str, typer.Argument(metavar="ID")],
    args: Annotated[str | None, typer.Option(help="Other arguments, a JSON object.")] = None,
    priority: Annotated[int | None, typer.Option(min=0, max=9)] = None,
    api: Api = DEFAULT_API,
) -> None:
    """Replay a task that failed, expired, was quarantined or cancelled."""
    try:
        arguments = None if args is None else json.loads(args)
    except ValueError as error:
        raise fail(f"--args is not JSON: {error}") from error
    with reach(api) as client:
        print_json(client.replay(task, args=arguments, priority=priority))


@exits_cleanly
def attempts(
    task: Annotated[str, typer.Argument(metavar="ID")],
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Show every attempt of a task, and how each ended."""
    with reach(api) as client:
        found = client.attempts(task)
    if as_json:
        print_json(found)
        return
    show(found.items, (*_ATTEMPT_COLUMNS, "error"))


def labels_of(given: list[str]) -> dict[str, str]:
    """Read labels that are written key:value. Raises Exit."""
    labels = {}
    for text in given:
        key, colon, value = text.partition(":")
        if not colon:
            raise fail(f"--label {text}: write key:value")
        labels[key] = value
    return labels
