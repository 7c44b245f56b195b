"""Each task's history against the rules of a task's life (C4, C5, C7, C9, C10, C11)."""

from collections.abc import Iterator
from itertools import pairwise

from taskyard.core.states import TERMINAL, State, may_become
from taskyard.drill.history import EventRow, History, TaskRow, Violation, grouped

_BORN = frozenset({State.SCHEDULED, State.PENDING})


def one_end(history: History) -> Iterator[Violation]:
    """Every stored task has ended, and each generation of it exactly once."""
    for task, events in _lives(history):
        if task.state not in TERMINAL:
            yield _of(task, "one-end", f"is still {task.state} ({task.reason or 'no reason'})")
        for generation, part in grouped(events, lambda event: event.generation).items():
            ends = [event.state for event in part if event.state in TERMINAL]
            if len(ends) > 1:
                yield _of(task, "one-end", f"ended {len(ends)} times in generation {generation}")


def expected_end(history: History) -> Iterator[Violation]:
    """A task ends as its type does; only one that lost its worker too often is quarantined."""
    for task, events in _lives(history):
        expected = history.ends.get(task.type)
        if expected is None or task.state not in TERMINAL or task.state in expected:
            continue
        claimed = sum(event.state is State.RUNNING for event in events)
        if task.state is State.QUARANTINED and claimed >= task.max_crashes:
            continue
        yield _of(task, "expected-end", f"ended {task.state} ({task.reason}), which it never may")


def legal_transitions(history: History) -> Iterator[Violation]:
    """A history begins at submission and each step is one that the state table allows."""
    for task, events in _lives(history):
        if events and events[0].state not in _BORN:
            yield _of(task, "legal-transitions", f"begins as {events[0].state}")
        for one, next_ in pairwise(events):
            if not may_become(one.state, next_.state):
                step = f"goes from {one.state} to {next_.state} at event {next_.seq}"
                yield _of(task, "legal-transitions", step)


def gapless_history(history: History) -> Iterator[Violation]:
    """Events are numbered 1, 2, 3 … and the last one tells the state of the row."""
    for task, events in _lives(history):
        numbers = [event.seq for event in events]
        if numbers != list(range(1, task.event_seq + 1)):
            what = f"has the event numbers {numbers}, not 1 to {task.event_seq}"
            yield _of(task, "gapless-history", what)
        elif events[-1].state is not task.state:
            what = f"is {task.state}, but its last event says {events[-1].state}"
            yield _of(task, "gapless-history", what)
    stored = {task.id for task in history.tasks}
    for orphan in {event.task_id for event in history.events} - stored:
        yield Violation(
            invariant="gapless-history",
            sentence=f"task {orphan} has a history and no row",
            task_ids=(orphan,),
        )


def attempts_grow_by_one(history: History) -> Iterator[Violation]:
    """Claims are numbered 1, 2, 3 … over the whole life of a task."""
    for task, events in _lives(history):
        numbers = [event.attempt for event in events if event.state is State.RUNNING]
        if numbers != list(range(1, len(numbers) + 1)) or task.attempt != len(numbers):
            what = f"has the attempts {numbers}, and its row says {task.attempt}"
            yield _of(task, "attempts-grow-by-one", what)


def unique_tokens(history: History) -> Iterator[Violation]:
    """A lease token belongs to one attempt of one task."""
    tokens = grouped((w for w in history.writes if w.token), lambda write: write.token)
    for token, writes in tokens.items():
        if len({(write.task_id, write.attempt) for write in writes}) > 1:
            yield Violation(
                invariant="unique-tokens",
                sentence=f"the lease token {token} was given to more than one attempt",
                task_ids=tuple(sorted({write.task_id for write in writes})),
            )


def results_never_change(history: History) -> Iterator[Violation]:
    """Once a generation has ended, neither its state nor its result or error change."""
    for task_id, writes in grouped(history.writes, lambda write: write.task_id).items():
        for one, next_ in pairwise(sorted(writes, key=lambda write: write.order)):
            same_life = one.generation == next_.generation and one.state in TERMINAL
            if same_life and (one.state, one.outcome) != (next_.state, next_.outcome):
                yield Violation(
                    invariant="results-never-change",
                    sentence=f"task {task_id} had ended {one.state} and was written again, "
                    f"as {next_.state}",
                    task_ids=(task_id,),
                )


def in_time(history: History) -> Iterator[Violation]:
    """No attempt begins after `expires_at`."""
    for task, events in _lives(history):
        for event in events:
            late = task.expires_at is not None and event.at > task.expires_at
            if late and event.state is State.RUNNING:
                yield _of(task, "in-time", f"began attempt {event.attempt} after it had expired")


def _lives(history: History) -> Iterator[tuple[TaskRow, list[EventRow]]]:
    events = grouped(history.events, lambda event: event.task_id)
    for task in history.tasks:
        yield task, sorted(events.get(task.id, []), key=lambda event: event.seq)


def _of(task: TaskRow, invariant: str, what: str) -> Violation:
    return Violation(
        invariant=invariant, sentence=f"task {task.id} ({task.type}) {what}", task_ids=(task.id,)
    )
