"""What a drill says at its end: losses and duplicates, times, and the first broken promises."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from taskyard.core.states import TERMINAL, State
from taskyard.drill.figures import accepted_after, attempt_after, dispatch_after, taken_back_after
from taskyard.drill.history import Kind, grouped
from taskyard.drill.run import Drilled

_MOST_SHOWN = 5
_LONG = 10.0  # seconds until rest; whoever made it so long is shown

# Not those that strike who waits: there the kill comes later than the strike.
_CHILD = ("kill-worker-child",)
_WORKER = ("kill-worker",)
_RECOVERY = {
    "due_after_killed_child": "slowest return of a task to its queue after a killed child",
    "due_after_killed_worker": "slowest return of a task to its queue after a killed worker",
    "attempt_after_killed_child": "slowest new attempt after a killed child",
    "attempt_after_killed_worker": "slowest new attempt after a killed worker",
    "dispatch_after_broker": "slowest dispatch after the broker answers again",
    "accepted_after_postgres": "slowest 202 after Postgres answers again",
}


def summary(drilled: Drilled) -> dict[str, Any]:
    """Return the figures of one drill."""
    history = drilled.history
    entries = [entry for entry in history.entries if entry.kind is not Kind.INVOKE]
    accepted = {entry.task_id for entry in entries if entry.kind is Kind.OK}
    starts = Counter(e.task_id for e in history.events if e.state is State.RUNNING)
    broken = Counter(violation.invariant for violation in drilled.violations)
    ends = Counter(task.state for task in history.tasks)
    return {
        "seed": drilled.plan.seed,
        "tasks": len(history.tasks),
        "faults": len(drilled.struck),
        "accepted": len(accepted),
        "refused": sum(entry.kind is Kind.FAIL for entry in entries),
        "unknown": sum(entry.kind is Kind.UNKNOWN for entry in entries),
        "lost": len(accepted - {task.id for task in history.tasks if task.state in TERMINAL}),
        "ended": {state.value: count for state, count in sorted(ends.items())},
        "attempts": starts.total(),
        "ran_more_than_once": sum(count > 1 for count in starts.values()),
        "double_effects": broken["exactly-once-effect"],
        "stale_writes": broken["no-stale-write"] + broken["results-never-change"],
        "violations": dict(broken),
        "quiet_after_seconds": None
        if drilled.quiet_after is None
        else round(drilled.quiet_after, 1),
        "seconds": round(drilled.took, 1),
        "struck": dict(Counter(each.name for each in drilled.struck)),
        "recovery_seconds": recovery(drilled),
    }


def recovery(drilled: Drilled) -> dict[str, float | None]:
    """Return how fast the stack recovered; None for what did not happen."""
    history, struck = drilled.history, drilled.struck
    times = {
        "due_after_killed_child": taken_back_after(history, struck, *_CHILD),
        "due_after_killed_worker": taken_back_after(history, struck, *_WORKER),
        "attempt_after_killed_child": attempt_after(history, struck, *_CHILD),
        "attempt_after_killed_worker": attempt_after(history, struck, *_WORKER),
        "dispatch_after_broker": dispatch_after(history, struck, "stop-rabbitmq", "kill-rabbitmq"),
        "accepted_after_postgres": accepted_after(history, struck, "crash-postgres"),
    }
    return {name: None if found is None else round(found, 2) for name, found in times.items()}


def passed(drilled: Drilled) -> bool:
    """Return whether every promise was kept, and rest came in time."""
    return not drilled.violations and drilled.quiet_after is not None


def lines(drilled: Drilled) -> Iterator[str]:
    """Yield the report for people: one line, and the first offences with their histories."""
    told = summary(drilled)
    rest = (
        "never at rest" if drilled.quiet_after is None else f"at rest {drilled.quiet_after:.1f} s"
    )
    yield (
        f"seed {told['seed']}: {told['tasks']} tasks, {told['faults']} faults, "
        f"{told['refused']} refused, {told['unknown']} unknown; {told['lost']} lost, "
        f"{told['double_effects']} double effects, {told['stale_writes']} stale writes; "
        f"{told['ran_more_than_once']} ran more than once; {rest} after the last heal and answer"
    )
    if drilled.quiet_after is not None and drilled.quiet_after > _LONG:
        last = max((e for e in drilled.history.events if e.state in TERMINAL), key=lambda e: e.at)
        yield "  the last to end was"
        yield from (f"        {line}" for line in _lives(drilled, [last.task_id]))
    for invariant, found in grouped(drilled.violations, lambda each: each.invariant).items():
        yield f"  ✗ {invariant}: {len(found)}"
        for violation in found[:_MOST_SHOWN]:
            yield f"      {violation.sentence}"
            yield from (f"        {line}" for line in _lives(drilled, violation.task_ids[:2]))


def _lives(drilled: Drilled, task_ids: Sequence[str]) -> Iterator[str]:
    """Yield what is known of some tasks, in the order of time."""
    for task_id in task_ids:
        for event in (e for e in drilled.history.events if e.task_id == task_id):
            at = event.at.strftime("%H:%M:%S.%f")[:-3]
            why = f" ({event.reason})" if event.reason else ""
            yield f"{at} {event.seq:2} {event.state} attempt {event.attempt}{why}"


def markdown(summaries: Sequence[dict[str, Any]]) -> str:
    """Return docs/reliability.md's figures: a table with a line for each seed, and the totals."""
    columns = {
        "seed": "seed",
        "tasks": "tasks",
        "faults": "faults",
        "unknown": "replies lost",
        "ran_more_than_once": "ran again",
        "lost": "lost",
        "double_effects": "double effects",
        "stale_writes": "stale writes",
        "quiet_after_seconds": "all ended after (s)",
    }
    rows = [[str(told[name]) for name in columns] for told in summaries]
    table = [list(columns.values()), ["---:"] * len(columns), *rows]
    return "\n".join(
        [*("| " + " | ".join(row) + " |" for row in table), "", *_worst(summaries), ""]
    )


def _worst(summaries: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the slowest recoveries and how often each fault struck."""
    for name, meaning in _RECOVERY.items():
        found = [told["recovery_seconds"][name] for told in summaries]
        known = [seconds for seconds in found if seconds is not None]
        yield f"- {meaning}: {max(known):.1f} s" if known else f"- {meaning}: did not happen"
    struck = Counter[str]()
    for told in summaries:
        struck.update(told["struck"])
    yield "- faults: " + ", ".join(f"{name} ({n})" for name, n in sorted(struck.items()))
