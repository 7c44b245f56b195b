"""What is told of the end of an attempt: one line of the log, and the end of its span."""

import structlog

from taskyard import tracing
from taskyard.core.states import State
from taskyard.worker.outcome import Failed, PutOff, Retried

log = structlog.get_logger(__name__)


def tell_success(took: float) -> None:
    """Tell that the attempt that runs here stored its result, after so many seconds."""
    tracing.mark({"taskyard.state": State.SUCCEEDED})
    _say(State.SUCCEEDED, took, "success")


def tell_cancel(took: float) -> None:
    """Tell that it was cancelled."""
    tracing.mark({"taskyard.state": State.CANCELLED})
    _say(State.CANCELLED, took, "unknown")


def tell_failure(outcome: Failed | Retried | PutOff, took: float) -> None:
    """Tell what came of its failure. What was said in the error is stored with the task alone."""
    state = State.FAILED if isinstance(outcome, Failed) else State.RETRYING
    tracing.mark({"taskyard.state": state}, fault=outcome.failure.code)
    _say(state, took, "failure", reason=outcome.failure.code)


def _say(state: State, took: float, outcome: str, **more: str) -> None:
    log.info(
        "attempt ended",
        action=f"task-{state}",
        outcome=outcome,
        duration=int(took * 1e9),  # nanoseconds, as the schema has it
        **more,
    )
