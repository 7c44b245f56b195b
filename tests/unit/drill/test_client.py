"""The client's judgement of answers, the ledger, and how fast a stack recovered."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from taskyard.core.states import State
from taskyard.drill import ledger
from taskyard.drill.figures import accepted_after, attempt_after, dispatch_after, taken_back_after
from taskyard.drill.generator import judge
from taskyard.drill.history import Effect, Entry, EventRow, History, Kind, Phase, Struck

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "code", "kind", "again"),
    [
        (202, "", Kind.OK, False),
        (422, "invalid-arguments", Kind.FAIL, False),
        (409, "in-use", Kind.FAIL, True),
        (429, "overloaded", Kind.FAIL, True),
        (503, "storage-unavailable", Kind.FAIL, True),
        (503, "outcome-unknown", Kind.UNKNOWN, False),
        (500, "", Kind.UNKNOWN, False),
        (502, "", Kind.UNKNOWN, False),
    ],
)
def test_only_definite_answers_count_as_definite(
    status: int, code: str, kind: Kind, again: bool
) -> None:
    """202, 4xx and most 503 say what happened; everything else says nothing."""
    answer = judge(status, {"id": "i", "code": code})
    assert (answer.kind, answer.again) == (kind, again)
    assert answer.task_id == ("i" if kind is Kind.OK else None)


def test_the_ledger_keeps_every_line_in_order(tmp_path: Path) -> None:
    """What was appended is read again."""
    effects = [
        Effect(task_id="t", key="k", attempt=attempt, phase=phase)
        for attempt in (1, 2)
        for phase in (Phase.BEGAN, Phase.DONE)
    ]
    for effect in effects:
        ledger.append(tmp_path / "ledger", effect)
    assert list(ledger.read(tmp_path / "ledger")) == effects
    assert list(ledger.read(tmp_path / "nothing")) == []


def life(*steps: tuple[float, State, str | None]) -> tuple[EventRow, ...]:
    return tuple(
        EventRow(
            task_id="t",
            seq=seq,
            state=state,
            attempt=1,
            at=EPOCH + timedelta(seconds=at),
            reason=reason,
        )
        for seq, (at, state, reason) in enumerate(steps, 1)
    )


def test_recovery_is_measured_from_the_fault_or_its_heal() -> None:
    """The next attempt counts from the strike, dispatch and acceptance from the heal."""
    # Given: a clock that is 100 s behind, and a worker killed at its second 12
    history = History(
        entries=(
            Entry(number=1, kind=Kind.OK, type="t", at=-95.0),
            Entry(number=2, kind=Kind.OK, type="t", at=-85.5),
        ),
        tasks=(),
        events=life(
            (10.0, State.PENDING, None),
            (11.0, State.RUNNING, None),
            (13.0, State.RETRYING, "worker-lost"),
            (13.5, State.PENDING, None),
            (14.25, State.QUEUED, None),
            (15.0, State.RUNNING, None),
            (15.5, State.SUCCEEDED, None),
        ),
        clock_offset=100.0,
    )
    struck = [Struck(name="kill", hit="", struck_at=-88.0, healed_at=-87.0)]
    # Then
    assert taken_back_after(history, struck, "kill") == pytest.approx(1.0)
    assert attempt_after(history, struck, "kill") == pytest.approx(3.0)
    assert dispatch_after(history, struck, "kill") == pytest.approx(1.25)
    assert accepted_after(history, struck, "kill") == pytest.approx(1.5)
    assert attempt_after(history, struck, "other") is None
