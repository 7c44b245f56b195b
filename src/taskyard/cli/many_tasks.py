"""`taskyard tasks cancel | reprioritise | replay`: what is done to many tasks at once."""

import sys
from typing import Annotated, cast

import typer

from taskyard.cli.dead_letters import labels_of
from taskyard.cli.report import console, exits_cleanly, fail, show
from taskyard.cli.tasks import DEFAULT_API, REPLAY_TAKES, Api, Error, Json, print_json, reach
from taskyard.client.many_documents import ManyReplayed, ManyReport
from taskyard.client.many_operations import TaskFilters

Type = Annotated[str | None, typer.Option("--type", help="Such as image.thumbnail.")]
State = Annotated[str | None, typer.Option(help="Such as queued.")]
Pool = Annotated[str | None, typer.Option()]
Label = Annotated[list[str] | None, typer.Option(help="key:value, repeatable.")]
After = Annotated[str | None, typer.Option(help="Submitted at or after this time (RFC 3339).")]
Before = Annotated[str | None, typer.Option(help="Submitted before this time (RFC 3339).")]
All = Annotated[bool, typer.Option("--all", help="Every task is meant.")]
DryRun = Annotated[bool, typer.Option(help="Only count.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="The oldest are taken first.")]

_REFUSAL_COLUMNS = ("id", "code", "detail")


@exits_cleanly
def cancel(
    task: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only this one.")] = None,
    task_type: Type = None,
    state: State = None,
    pool: Pool = None,
    label: Label = None,
    error: Error = None,
    created_after: After = None,
    created_before: Before = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    limit: Limit = 10_000,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Cancel one task, or many: prevent them, or have them stopped if they run."""
    which = _which(task_type, state, pool, label, error, created_after, created_before)
    if task is not None and (which or everything or dry_run):
        raise fail("name one task by its ID, or many by options, not both")
    with reach(api, timeout=REPLAY_TAKES) as client:
        if task is not None:
            print_json(client.cancel(task))
            return
        told = client.many.cancel(which, all=everything, dry_run=True, limit=limit)
        if not dry_run and _agreed(told, "cancelled", yes=yes):
            told = client.many.cancel(_no_later(which, told), all=everything, limit=limit)
    _tell(told, "cancelled", as_json=as_json)
    if not as_json and told.interrupted:
        console.print(f"of these, {told.interrupted} run and are asked to stop", markup=False)


@exits_cleanly
def reprioritise(
    priority: Annotated[int, typer.Argument(min=0, max=9, help="Larger is more urgent.")],
    task_type: Type = None,
    state: State = None,
    pool: Pool = None,
    label: Label = None,
    error: Error = None,
    created_after: After = None,
    created_before: Before = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    limit: Limit = 10_000,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Give many tasks that wait another priority."""
    which = _which(task_type, state, pool, label, error, created_after, created_before)
    with reach(api, timeout=REPLAY_TAKES) as client:
        ask = client.many.reprioritise
        told = ask(which, priority, all=everything, dry_run=True, limit=limit)
        if not dry_run and _agreed(told, "reprioritised", yes=yes):
            told = ask(_no_later(which, told), priority, all=everything, limit=limit)
    _tell(told, "reprioritised", as_json=as_json)


@exits_cleanly
def replay(
    task_type: Type = None,
    state: State = None,
    pool: Pool = None,
    label: Label = None,
    error: Error = None,
    created_after: After = None,
    created_before: Before = None,
    everything: All = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    rate: Annotated[float | None, typer.Option(help="Tasks a second; else all at once.")] = None,
    limit: Limit = 10_000,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """Replay many tasks that failed, expired, were quarantined or cancelled."""
    which = _which(task_type, state, pool, label, error, created_after, created_before)
    with reach(api, timeout=REPLAY_TAKES) as client:
        ask = client.many.replay
        told = ask(which, all=everything, dry_run=True, rate=rate, limit=limit)
        if not dry_run and _agreed(told, "replayed", yes=yes):
            told = ask(_no_later(which, told), all=everything, rate=rate, limit=limit)
    _tell(told, "replayed", as_json=as_json)
    if not as_json:
        _tell_refusals(told)


def _which(
    task_type: str | None,
    state: str | None,
    pool: str | None,
    label: list[str] | None,
    error: str | None,
    created_after: str | None,
    created_before: str | None,
) -> TaskFilters:
    given = {
        "type": task_type, "state": state, "pool": pool, "labels": labels_of(label or []),
        "error": error, "created_after": created_after, "created_before": created_before,
    }  # fmt: skip
    said = {name: value for name, value in given.items() if value}
    return cast("TaskFilters", said)


def _agreed(told: ManyReport, verb: str, *, yes: bool) -> bool:
    """Ask whether those that were counted are meant. Raises Exit when nobody agrees."""
    if not told.count:
        return False
    if not yes and not sys.stdin.isatty():
        raise fail(f"{_counted(told)} would be {verb}; say --yes where nobody can be asked")
    if not yes and not typer.confirm(f"{_counted(told)}: to be {verb}?", err=True):
        raise typer.Exit(1)
    return True


def _no_later(which: TaskFilters, told: ManyReport) -> TaskFilters:
    """Leave out what was submitted after the others had been counted."""
    if which.get("created_before"):
        return which
    return {**which, "created_before": told.looked_at}


def _counted(told: ManyReport) -> str:
    states = ", ".join(f"{count} {state}" for state, count in told.states.items())
    more = ", and there are more" if told.more else ""
    return f"{told.count} tasks ({states}{more})"


def _tell(told: ManyReport, verb: str, *, as_json: bool) -> None:
    if as_json:
        print_json(told)
        return
    more = "; the limit leaves out the rest" if told.more else ""
    would = "would be " if told.dry_run else ""
    console.print(f"{told.count} {would}{verb}{more}", markup=False)
    if told.left:
        console.print(f"{told.left} are left: the same again does the rest", markup=False)


def _tell_refusals(told: ManyReplayed) -> None:
    if told.refused:
        console.print(f"{told.refused} would be refused today, and stay as they are:")
        show(told.refusals, _REFUSAL_COLUMNS)
    if told.stopped:
        console.print(told.stopped.detail, markup=False)
