"""What clients were told against what is stored (C1, C2, C3)."""

from collections.abc import Iterator

from taskyard.drill.history import WAIT, Entry, History, Kind, TaskRow, Violation, grouped


def accepted_is_kept(history: History) -> Iterator[Violation]:
    """Every 202 is a row: durable means durable."""
    stored = {task.id for task in history.tasks}
    for entry in history.entries:
        if entry.kind is Kind.OK and entry.task_id not in stored:
            yield Violation(
                invariant="accepted-is-kept",
                sentence=f"submission {entry.number} ({entry.type}) was answered with 202 "
                f"and the id {entry.task_id}, which is not stored: the task is lost",
                task_ids=(entry.task_id or "",),
            )


def valid_is_accepted(history: History) -> Iterator[Violation]:
    """Nothing in a mix is refused for what it is: not the first time, not when it is repeated."""
    for entry in history.entries:
        blamed = entry.status is not None and 400 <= entry.status < 500
        if entry.kind is Kind.FAIL and blamed and entry.status not in WAIT:
            yield Violation(
                invariant="valid-is-accepted",
                sentence=f"submission {entry.number} ({entry.type}, key {entry.key}) was refused "
                f"with {entry.status}: {entry.said}",
            )


def refused_never_runs(history: History) -> Iterator[Violation]:
    """What was definitely refused, each time it was asked for, is not stored."""
    rows = _rows(history)
    for number, entries in _answers(history).items():
        kinds = {entry.kind for entry in entries}
        if kinds == {Kind.FAIL} and (found := rows.get(number)):
            status = entries[-1].status
            yield Violation(
                invariant="refused-never-runs",
                sentence=f"submission {number} was refused with {status}, and yet a task is "
                f"stored, {found[0].state} after {found[0].attempt} attempts",
                task_ids=tuple(task.id for task in found),
            )


def unknown_resolves(history: History) -> Iterator[Violation]:
    """A keyed request with an unknown outcome was repeated until its outcome was definite."""
    for number, entries in _answers(history).items():
        last = entries[-1]
        if last.kind is Kind.UNKNOWN and last.key is not None:
            yield Violation(
                invariant="unknown-resolves",
                sentence=f"submission {number} with key {last.key} was asked {len(entries)} times "
                "and its outcome is still unknown",
            )


def one_task_per_key(history: History) -> Iterator[Violation]:
    """One key, one task, one id; and without a key no more tasks than requests sent."""
    rows = _rows(history)
    for number, entries in _answers(history).items():
        found = rows.get(number, [])
        told = {entry.task_id for entry in entries if entry.kind is Kind.OK}
        key = entries[0].key
        if len(found) > 1:
            yield Violation(
                invariant="one-task-per-key",
                sentence=f"submission {number} (key {key}) is stored {len(found)} times",
                task_ids=tuple(task.id for task in found),
            )
        if len(told) > 1:
            yield Violation(
                invariant="one-task-per-key",
                sentence=f"submission {number} (key {key}) was answered with different ids",
                task_ids=tuple(sorted(filter(None, told))),
            )


def _answers(history: History) -> dict[int, list[Entry]]:
    """Return the entries that end a request, by submission."""
    ended = (entry for entry in history.entries if entry.kind is not Kind.INVOKE)
    return grouped(ended, lambda entry: entry.number)


def _rows(history: History) -> dict[int | None, list[TaskRow]]:
    return grouped(history.tasks, lambda task: task.number)
