"""The checker: a clean history gives nothing, and each invariant violated once is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from taskyard.core.states import State
from taskyard.drill.checks import CHECKS, check
from taskyard.drill.history import (
    Effect,
    Entry,
    EventRow,
    History,
    Kind,
    Phase,
    QueueRest,
    Rest,
    TaskRow,
    Write,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXPIRES = NOON + timedelta(minutes=5)

ONCE, TWICE, REFUSED, LOST_REPLY = "once", "twice", "refused", "lost-reply"


def events(task_id: str, *steps: tuple[State, int]) -> tuple[EventRow, ...]:
    return tuple(
        EventRow(task_id=task_id, seq=seq, state=state, attempt=attempt, at=NOON)
        for seq, (state, attempt) in enumerate(steps, 1)
    )


def asked(number: int, key: str | None, *answers: tuple[Kind, str | None]) -> tuple[Entry, ...]:
    lines = [Entry(number=number, kind=Kind.INVOKE, type="t", key=key, at=0.0)]
    for kind, task_id in answers:
        lines.append(Entry(number=number, kind=kind, type="t", key=key, at=1.0, task_id=task_id))
    return tuple(lines)


def task(task_id: str, number: int, **more: object) -> TaskRow:
    given = {"state": State.SUCCEEDED, "attempt": 1, "event_seq": 4} | more
    return TaskRow(id=task_id, number=number, type="t", expires_at=EXPIRES, **given)  # type: ignore[arg-type]


def effect(task_id: str, attempt: int, phase: Phase) -> Effect:
    return Effect(task_id=task_id, key=f"{task_id}:1", attempt=attempt, phase=phase)


def clean() -> History:
    """One task that ran once, one that crashed and ran again, one refusal, one lost reply."""
    calm = [(State.PENDING, 0), (State.QUEUED, 0), (State.RUNNING, 1), (State.SUCCEEDED, 1)]
    again = [(State.PENDING, 0), (State.RUNNING, 1), (State.RETRYING, 1), (State.PENDING, 1)]
    again += [(State.QUEUED, 1), (State.RUNNING, 2), (State.SUCCEEDED, 2)]
    return History(
        entries=(
            *asked(1, None, (Kind.OK, ONCE)),
            *asked(2, "k2", (Kind.OK, TWICE)),
            *asked(3, "k3", (Kind.FAIL, None)),
            *asked(4, "k4", (Kind.UNKNOWN, None), (Kind.OK, LOST_REPLY)),
        ),
        tasks=(
            task(ONCE, 1, result={"attempt": 1}),
            task(TWICE, 2, attempt=2, event_seq=7, result={"attempt": 2}),
            task(LOST_REPLY, 4, result={"attempt": 1}),
        ),
        events=events(ONCE, *calm) + events(TWICE, *again) + events(LOST_REPLY, *calm),
        writes=(
            Write(task_id=ONCE, order=1, state=State.RUNNING, attempt=1, token="a"),
            Write(task_id=ONCE, order=2, state=State.SUCCEEDED, attempt=1, outcome="x"),
            Write(task_id=TWICE, order=3, state=State.RUNNING, attempt=1, token="b"),
            Write(task_id=TWICE, order=4, state=State.RUNNING, attempt=2, token="c"),
        ),
        ledger=(
            effect(ONCE, 1, Phase.BEGAN),
            effect(ONCE, 1, Phase.DONE),
            effect(TWICE, 1, Phase.BEGAN),
            effect(TWICE, 2, Phase.BEGAN),
            effect(TWICE, 2, Phase.DONE),
            effect(LOST_REPLY, 1, Phase.DONE),
        ),
        committed=(
            effect(ONCE, 1, Phase.COMMITTED),
            effect(TWICE, 2, Phase.COMMITTED),
            effect(LOST_REPLY, 1, Phase.COMMITTED),
        ),
        rest=Rest(queues=(QueueRest(name="taskyard.pool.p", ready=0, unacked=0),)),
        ends={"t": frozenset({State.SUCCEEDED})},
        transactional=frozenset({"t"}),
    )


def with_task(history: History, task_id: str, **changed: object) -> History:
    """The history with one row changed."""
    return replace(
        history,
        tasks=tuple(
            replace(each, **changed) if each.id == task_id else each  # type: ignore[arg-type]
            for each in history.tasks
        ),
    )


def with_event(history: History, task_id: str, seq: int, **changed: object) -> History:
    """The history with one event changed."""
    return replace(
        history,
        events=tuple(
            replace(each, **changed) if (each.task_id, each.seq) == (task_id, seq) else each  # type: ignore[arg-type]
            for each in history.events
        ),
    )


def without_task(history: History, task_id: str) -> History:
    """The history of a database that never stored it."""
    return replace(
        history,
        tasks=tuple(each for each in history.tasks if each.id != task_id),
        events=tuple(each for each in history.events if each.task_id != task_id),
        ledger=tuple(each for each in history.ledger if each.task_id != task_id),
        committed=tuple(each for each in history.committed if each.task_id != task_id),
    )


def adding(history: History, name: str, *items: object) -> History:
    """The history with more of something."""
    return replace(history, **{name: (*getattr(history, name), *items)})  # type: ignore[arg-type]


def stored_twice(history: History) -> History:
    """A retried request that made a second task, which lived like the first."""
    double = "double"
    return replace(
        history,
        tasks=(*history.tasks, replace(history.tasks[2], id=double)),
        events=history.events
        + tuple(replace(e, task_id=double) for e in history.events if e.task_id == LOST_REPLY),
        ledger=(*history.ledger, effect(double, 1, Phase.DONE)),
        committed=(*history.committed, effect(double, 1, Phase.COMMITTED)),
    )


def refused_and_stored(history: History) -> History:
    """A refusal that was none."""
    return replace(stored_twice(history), tasks=(*history.tasks, task("double", 3)))


BROKEN: list[tuple[str, Callable[[History], History]]] = [
    ("accepted-is-kept", lambda h: without_task(h, ONCE)),
    (
        "valid-is-accepted",
        lambda h: adding(
            h, "entries", Entry(number=6, kind=Kind.FAIL, type="t", at=0, status=422, said="no")
        ),
    ),
    ("refused-never-runs", refused_and_stored),
    ("unknown-resolves", lambda h: adding(h, "entries", *asked(5, "k5", (Kind.UNKNOWN, None)))),
    ("one-task-per-key", stored_twice),
    ("one-task-per-key", lambda h: adding(h, "entries", *asked(2, "k2", (Kind.OK, ONCE)))),
    (
        "one-end",
        lambda h: with_event(
            with_task(h, ONCE, state=State.RUNNING), ONCE, 4, state=State.RETRYING
        ),
    ),
    ("one-end", lambda h: with_event(h, ONCE, 3, state=State.SUCCEEDED)),
    (
        "expected-end",
        lambda h: with_event(with_task(h, ONCE, state=State.FAILED), ONCE, 4, state=State.FAILED),
    ),
    (
        "expected-end",
        lambda h: with_event(
            with_task(h, ONCE, state=State.QUARANTINED), ONCE, 4, state=State.QUARANTINED
        ),
    ),
    ("legal-transitions", lambda h: with_event(h, TWICE, 4, state=State.QUEUED)),
    ("legal-transitions", lambda h: with_event(h, ONCE, 1, state=State.QUEUED)),
    ("gapless-history", lambda h: with_task(h, ONCE, event_seq=5)),
    ("gapless-history", lambda h: with_event(h, ONCE, 4, state=State.FAILED)),
    ("gapless-history", lambda h: adding(h, "events", *events("nobody", (State.PENDING, 0)))),
    ("attempts-grow-by-one", lambda h: with_event(h, TWICE, 6, attempt=3)),
    ("attempts-grow-by-one", lambda h: with_task(h, ONCE, attempt=2, result=None)),
    (
        "unique-tokens",
        lambda h: adding(
            h, "writes", Write(task_id=TWICE, order=9, state=State.RUNNING, attempt=3, token="c")
        ),
    ),
    (
        "results-never-change",
        lambda h: adding(
            h, "writes", Write(task_id=ONCE, order=9, state=State.SUCCEEDED, attempt=1, outcome="y")
        ),
    ),
    ("in-time", lambda h: with_event(h, TWICE, 6, at=EXPIRES + timedelta(seconds=1))),
    ("no-stale-write", lambda h: with_task(h, TWICE, result={"attempt": 1})),
    ("exactly-once-effect", lambda h: adding(h, "committed", effect(ONCE, 1, Phase.COMMITTED))),
    ("exactly-once-effect", lambda h: replace(h, committed=h.committed[1:])),
    ("exactly-once-effect", lambda h: adding(h, "committed", effect("gone", 1, Phase.COMMITTED))),
    (
        "finished-means-ran",
        lambda h: replace(h, ledger=tuple(e for e in h.ledger if e.task_id != ONCE)),
    ),
    ("finished-means-ran", lambda h: adding(h, "ledger", effect("gone", 1, Phase.BEGAN))),
    ("quiet", lambda h: replace(h, rest=Rest(queues=(QueueRest(name="q", ready=1, unacked=0),)))),
    ("quiet", lambda h: replace(h, rest=Rest(queues=(QueueRest(name="q", ready=0, unacked=1),)))),
    ("quiet", lambda h: replace(h, rest=Rest(database_connections=1))),
    ("quiet", lambda h: replace(h, rest=Rest(broker_connections=1))),
]


def test_a_clean_history_has_no_violation() -> None:
    """Crashes, refusals and lost replies are no faults of the gateway."""
    assert check(clean()) == []


@pytest.mark.parametrize(("invariant", "damage"), BROKEN)
def test_a_violation_is_found(invariant: str, damage: Callable[[History], History]) -> None:
    """Each invariant, broken once, is named and said in a sentence."""
    # Given
    history = damage(clean())
    # When
    found = [each for each in check(history) if each.invariant == invariant]
    # Then
    assert found
    assert all(each.sentence for each in found)


def test_every_invariant_is_broken_at_least_once() -> None:
    """No check goes untried."""
    assert {invariant for invariant, _ in BROKEN} == set(CHECKS)


def test_a_task_that_lost_its_worker_too_often_may_be_quarantined() -> None:
    """Faults may strike the same innocent task three times; then containment is right."""
    # Given
    again = [(State.RETRYING, 1), (State.PENDING, 1), (State.RUNNING, 2), (State.RETRYING, 2)]
    again += [(State.PENDING, 2), (State.RUNNING, 3), (State.QUARANTINED, 3)]
    history = History(
        entries=asked(1, None, (Kind.OK, ONCE)),
        tasks=(task(ONCE, 1, state=State.QUARANTINED, attempt=3, event_seq=9),),
        events=events(ONCE, (State.PENDING, 0), (State.RUNNING, 1), *again),
        ends={"t": frozenset({State.SUCCEEDED})},
    )
    # Then
    assert check(history) == []
