"""What attempts leave behind: lines in the ledger, rows in the tested database."""

import os
from pathlib import Path
from typing import Any

from taskyard import current
from taskyard.drill import ledger
from taskyard.drill.history import Effect, Phase

_INSERT = "INSERT INTO drill_effects (task_id, effect_key, attempt) VALUES (%s, %s, %s)"


def note(phase: Phase) -> None:
    """Write a line to the ledger."""
    effect = Effect(
        task_id=current.task_id or "",
        key=current.effect_key(),
        attempt=current.attempt,
        phase=phase,
    )
    ledger.append(Path(os.environ[ledger.VARIABLE]), effect)


def done() -> dict[str, Any]:
    """Note the end, and return what the result must show: which attempt it comes from."""
    note(Phase.DONE)
    return {"attempt": current.attempt}


def transfer() -> dict[str, Any]:
    """Write a row in the finishing transaction."""
    note(Phase.BEGAN)
    with current.transaction() as connection:
        connection.execute(_INSERT, [current.task_id, current.effect_key(), current.attempt])
    return done()
