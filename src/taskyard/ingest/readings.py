"""What an ingest tells of itself: whether events come, and what waits to be stored."""

from taskyard.broker.consumer import Consumer
from taskyard.role_metrics import Reading


def ingest_readings(consumer: Consumer) -> list[Reading]:
    """Return the metrics of an ingest."""
    return [
        Reading(
            name="taskyard_ingest_broker_connected",
            meaning="Whether the ingest is connected to RabbitMQ.",
            read=lambda: {(): consumer.connected.is_set()},
        ),
        Reading(
            name="taskyard_ingest_events",
            meaning="Events that it has stored and acknowledged.",
            counts=True,
            read=lambda: {(): consumer.acknowledged},
        ),
        Reading(
            name="taskyard_ingest_events_held",
            meaning="Events that it holds and has not stored yet.",
            read=lambda: {(): consumer.held},
        ),
    ]
