"""What is left when all is quiet: nothing."""

from collections.abc import Iterator

from taskyard.drill.history import History, Violation


def quiet(history: History) -> Iterator[Violation]:
    """No message waits or is unacknowledged, and no connection outlives its process."""
    for queue in history.rest.queues:
        if queue.ready or queue.unacked:
            yield Violation(
                invariant="quiet",
                sentence=f"queue {queue.name} still holds {queue.ready} messages, and "
                f"{queue.unacked} more are not acknowledged",
            )
    if history.rest.database_connections:
        yield Violation(
            invariant="quiet",
            sentence=f"{history.rest.database_connections} connections to the database are left",
        )
    if history.rest.broker_connections:
        yield Violation(
            invariant="quiet",
            sentence=f"{history.rest.broker_connections} connections to the broker are left",
        )
