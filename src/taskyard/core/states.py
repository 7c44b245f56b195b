"""The states of a task and every transition between them.

    scheduled ─▶ pending ─▶ queued ─▶ running ─▶ succeeded | failed | quarantined | cancelled
         ▲          │  ▲       │         │
         └──────────┴──┼───────┘         │
                       └── retrying ◀────┘

`pending`: due, not yet confirmed by the broker. `queued`: the broker confirmed the wake-up.
A claim may overtake the dispatcher's mark, so pending ─▶ running is legal. A wake-up that reached
a worker which could not take it is scheduled anew, and not pending: the mark of the publish that
brought it there may still be on its way, and would make it queued with no message in the broker.

The database refuses what TRANSITIONS does not allow; a test walks every pair through both.
"""

from enum import StrEnum


class State(StrEnum):
    """Where a task is; the values are what the API and the database show."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    QUARANTINED = "quarantined"


UNSTARTED = frozenset({State.SCHEDULED, State.PENDING, State.QUEUED, State.RETRYING})
TERMINAL = frozenset(
    {State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED, State.QUARANTINED}
)

_ENDED_EARLY = frozenset({State.CANCELLED, State.EXPIRED})
_REPLAYED = frozenset({State.PENDING})

TRANSITIONS: dict[State, frozenset[State]] = {
    State.SCHEDULED: frozenset({State.PENDING}) | _ENDED_EARLY,
    State.PENDING: frozenset({State.QUEUED, State.RUNNING, State.SCHEDULED}) | _ENDED_EARLY,
    State.QUEUED: frozenset({State.RUNNING, State.SCHEDULED}) | _ENDED_EARLY,
    State.RETRYING: frozenset({State.PENDING}) | _ENDED_EARLY,
    State.RUNNING: frozenset(
        {State.SUCCEEDED, State.FAILED, State.RETRYING, State.QUARANTINED, State.CANCELLED}
    ),
    State.SUCCEEDED: frozenset(),
    State.FAILED: _REPLAYED,
    State.QUARANTINED: _REPLAYED,
    State.EXPIRED: _REPLAYED,
    State.CANCELLED: _REPLAYED,
}

# What Celery calls the same states: https://docs.celeryq.dev/en/stable/userguide/tasks.html#states
CELERY_STATES: dict[State, str] = {
    State.SCHEDULED: "PENDING",
    State.PENDING: "PENDING",
    State.QUEUED: "PENDING",
    State.RUNNING: "STARTED",
    State.RETRYING: "RETRY",
    State.SUCCEEDED: "SUCCESS",
    State.FAILED: "FAILURE",
    State.QUARANTINED: "FAILURE",
    State.EXPIRED: "REVOKED",
    State.CANCELLED: "REVOKED",
}


def may_become(now: State, then: State) -> bool:
    """Return whether a task in state `now` may go to `then` in one step."""
    return then in TRANSITIONS[now]
