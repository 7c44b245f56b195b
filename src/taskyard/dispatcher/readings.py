"""What a dispatcher tells of itself: what the broker said to it, and holds."""

import time

from taskyard.broker.publisher import Publisher
from taskyard.core.wakeup import Confirm
from taskyard.dispatcher.loops import Dispatcher
from taskyard.role_metrics import Reading
from taskyard.services.reconcile import CHECK_EVERY, Reconciler

_STALE = 6 * CHECK_EVERY  # another dispatcher looks instead


def dispatcher_readings(
    dispatcher: Dispatcher, publisher: Publisher, reconciler: Reconciler
) -> list[Reading]:
    """Return the metrics of a dispatcher."""
    seen = reconciler.seen

    def queues(what: str) -> dict[tuple[str, ...], float]:
        if time.monotonic() - seen.at > _STALE:
            return {}
        return {(pool,): getattr(depth, what) for pool, depth in seen.depths.items()}

    return [
        Reading(
            name="taskyard_dispatcher_broker_connected",
            meaning="Whether the dispatcher is connected to RabbitMQ.",
            read=lambda: {(): publisher.connected.is_set()},
        ),
        Reading(
            name="taskyard_dispatcher_publishes",
            meaning="Wake-ups that it published, by what the broker said.",
            labels=("confirm",),
            counts=True,
            read=lambda: {(each,): publisher.said[each] for each in Confirm},
        ),
        Reading(
            name="taskyard_dispatcher_rounds",
            meaning="Groups of wake-ups that it published together.",
            counts=True,
            read=lambda: {(): publisher.rounds},
        ),
        Reading(
            name="taskyard_dispatcher_round_seconds",
            meaning="Time that the broker took to confirm them, in sum.",
            counts=True,
            read=lambda: {(): publisher.seconds},
        ),
        Reading(
            name="taskyard_dispatcher_database_faults",
            meaning="Times that a duty could not be done because Postgres did not answer.",
            counts=True,
            read=lambda: {(): dispatcher.database_faults},
        ),
        Reading(
            name="taskyard_queue_messages",
            meaning="Wake-ups that are ready in the queue of a pool, at its latest look.",
            labels=("pool",),
            read=lambda: queues("ready"),
        ),
        Reading(
            name="taskyard_queue_consumers",
            meaning="Consumers of the queue of a pool.",
            labels=("pool",),
            read=lambda: queues("consumers"),
        ),
    ]
