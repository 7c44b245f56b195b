"""`taskyard events …`: the event log, parked events, and rules tried out before they are used."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from taskyard import bootstrap
from taskyard.cli.report import console, exits_cleanly, fail, show
from taskyard.cli.tasks import DEFAULT_API, REPLAY_TAKES, Api, Json, print_json, reach
from taskyard.core.events import EventState, NotAnEvent
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.core.rules import Declined, Failed, Firing, Outcome
from taskyard.core.units import duration
from taskyard.services.rehearse import Rehearsal

events = typer.Typer(
    help="Events from outside: the log, what was parked, rules tried out.", no_args_is_help=True
)

Source = Annotated[str | None, typer.Option(help="Only from this source.")]
Match = Annotated[str | None, typer.Option(help="A topic pattern on the type, such as upload.#.")]
After = Annotated[str | None, typer.Option(help="Arrived at or after this time (RFC 3339).")]
Before = Annotated[str | None, typer.Option(help="Arrived before this time (RFC 3339).")]
Limit = Annotated[int, typer.Option(min=1, max=500)]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would happen.")]

_EVENT_COLUMNS = ("key", "received_at", "source", "id", "type", "state", "generation")
_PARKED_COLUMNS = ("key", "parked_at", "reason", "type", "source", "replays", "detail")


@events.command("list")
@exits_cleanly
def list_events(
    source: Source = None,
    match: Match = None,
    subject: Annotated[str | None, typer.Option()] = None,
    state: Annotated[str | None, typer.Option(help=f"One of {', '.join(EventState)}.")] = None,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """List events, newest first."""
    with reach(api) as client:
        found = client.events.page(
            source=source,
            match=match,
            subject=subject,
            state=state,
            received_after=after,
            received_before=before,
            limit=limit,
        )
    if as_json:
        print_json(found)
        return
    show(found.items, _EVENT_COLUMNS)


@events.command()
@exits_cleanly
def parked(
    source: Source = None,
    match: Match = None,
    reason: Annotated[str | None, typer.Option(help="Such as unmatched.")] = None,
    after: After = None,
    before: Before = None,
    limit: Limit = 20,
    as_json: Json = False,
    api: Api = DEFAULT_API,
) -> None:
    """List what arrived and could not be used, with the reason."""
    with reach(api) as client:
        found = client.events.parked(
            source=source,
            match=match,
            reason=reason,
            received_after=after,
            received_before=before,
            limit=limit,
        )
    if as_json:
        print_json(found)
        return
    show(found.items, _PARKED_COLUMNS)


@events.command("replay-parked")
@exits_cleanly
def replay_parked(
    key: Annotated[str | None, typer.Argument(metavar="[KEY]", help="Only this one.")] = None,
    source: Source = None,
    match: Match = None,
    reason: Annotated[str | None, typer.Option(help="Such as unmatched.")] = None,
    after: After = None,
    before: Before = None,
    everything: Annotated[bool, typer.Option("--all", help="Every parked event.")] = False,
    dry_run: DryRun = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 10_000,
    api: Api = DEFAULT_API,
) -> None:
    """Look again at what was parked, with the rules of today."""
    with reach(api, timeout=REPLAY_TAKES) as client:
        if key is not None:
            print_json(client.events.replay_one_parked(key))
            return
        report = client.events.replay_parked(
            source=source,
            match=match,
            reason=reason,
            received_after=after,
            received_before=before,
            everything=everything,
            dry_run=dry_run,
            limit=limit,
        )
    print_json(report)


@events.command()
@exits_cleanly
def replay(
    after: Annotated[str, typer.Option(help="Arrived at or after this time (RFC 3339).")],
    before: Annotated[str, typer.Option(help="Arrived before this time (RFC 3339).")],
    match: Annotated[str, typer.Option(help="A topic pattern on the type.")] = "#",
    dry_run: DryRun = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000)] = 10_000,
    cursor: Annotated[str | None, typer.Option(help="next_cursor of the report before.")] = None,
    api: Api = DEFAULT_API,
) -> None:
    """Fire the rules of today again for recorded events: new tasks, as another generation."""
    with reach(api, timeout=REPLAY_TAKES) as client:
        report = client.events.replay(
            after, before, match=match, dry_run=dry_run, limit=limit, cursor=cursor
        )
    print_json(report)


@events.command("test")
@exits_cleanly
def try_out(
    file: Annotated[Path, typer.Argument(help="One CloudEvent or an array of them; - is stdin.")],
    rules: Annotated[Path | None, typer.Option(help="Instead of events.toml.")] = None,
) -> None:
    """Show what an event would do: rules, arguments, tasks. Exit code 1 when it would be parked."""
    try:
        body = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        found, checked = asyncio.run(bootstrap.try_events(bootstrap.settings(), body, rules=rules))
    except OSError as error:
        raise fail(f"{file} cannot be read: {error.strerror}") from error
    except NotAnEvent as error:
        raise fail(f"it would be parked ({error.reason}): {error.detail}") from error
    for event, outcomes, decision in found:
        console.print(
            f"{event.type} {event.id} from {event.source}: {decision.state}", markup=False
        )
        for outcome in outcomes:
            console.print(f"  {_in_words(outcome)}", markup=False)
        if decision.state is EventState.PARKED:
            console.print(f"  {decision.reason}: {decision.detail}", markup=False)
    if not checked:
        console.print("arguments were not checked: the database does not answer", markup=False)
    if any(decision.state is EventState.PARKED for _, _, decision in found):
        raise typer.Exit(1)


@events.command()
@exits_cleanly
def rehearse(
    rules: Annotated[Path, typer.Option(help="The draft of an events.toml.")],
    since: Annotated[str, typer.Option(help="How far back, such as 7d.")] = "7d",
    tenant: Annotated[str, typer.Option(help="Whose events.")] = DEFAULT_TENANT,
) -> None:
    """Run draft rules over recorded events without firing; show what would change."""
    try:
        span = duration(since)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--since") from error
    found = asyncio.run(
        bootstrap.rehearse_rules(bootstrap.settings(), rules, span, TenantId(tenant))
    )
    _show_rehearsal(found)


def _in_words(outcome: Outcome) -> str:
    name = f"rule {outcome.rule.name!r}"
    match outcome:
        case Firing():
            dedupe = f", dedupe {outcome.dedupe!r}" if outcome.rule.dedupe else ""
            return f"{name} fires: {outcome.rule.task} {outcome.args!r}{dedupe}"
        case Declined():
            return f"{name} declines: its condition does not hold"
        case Failed():
            return f"{name} fails: {outcome.at}: {outcome.problem}"


def _show_rehearsal(found: Rehearsal) -> None:
    columns = ("task type", "tasks now", "draft", "difference", "busiest hour now", "draft")
    table = Table(*columns)
    for kind in sorted(found.now.tasks | found.draft.tasks):
        now, draft = found.now.tasks[kind], found.draft.tasks[kind]
        busiest = found.now.busiest(kind), found.draft.busiest(kind)
        table.add_row(kind, str(now), str(draft), f"{draft - now:+d}", *map(str, busiest))
    console.print(table)
    for state in EventState:
        now, draft = found.now.events[state], found.draft.events[state]
        console.print(f"{state}: {now} of {found.events} events now, {draft} with the draft")
    for event, one, other in found.changed:
        line = f"{event.type} {event.id}: {_short(one)} → {_short(other)}"
        console.print(line, markup=False)


def _short(decision: Any) -> str:
    tasks = ", ".join(f"{fired.task.type} {fired.task.args}" for fired in decision.fired)
    return f"{decision.state} {tasks or decision.detail or decision.reason or ''}".strip()
