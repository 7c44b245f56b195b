"""Celery's consumer, made deaf to anything but a wake-up."""

from collections.abc import Callable
from typing import Any, ClassVar

import structlog
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks

from taskyard.broker import wakeup
from taskyard.worker.queues import PoolConsumers

log = structlog.get_logger(__name__)

_LOOK_EVERY = 5.0  # seconds; for a queue that was removed by hand, and made again


class PoolTasks(Tasks):
    """Celery's task consumer, for all queues that the pool has at the moment."""

    name = "Tasks"

    def start(self, c: Any) -> None:
        """Consume the pool's queues from here on, also those it gets while the worker runs."""
        super().start(c)
        c.app.taskyard_queues.begin()
        c.task_consumer = PoolConsumers(
            c.connection,
            c.app.taskyard_queues,
            prefetch=c.initial_prefetch_count,
            first=not c.restart_count,
            on_decode_error=c.on_decode_error,
            on_gone=lambda: c.hub.call_soon(_look_again, c),
        )

    def register_with_event_loop(self, c: Any, hub: Any) -> None:
        """Follow what the ledger says, on the loop that owns the connection."""
        c.app.taskyard_queues.on_change = lambda: hub.call_soon(_follow, c)
        hub.call_repeatedly(_LOOK_EVERY, _follow, c)  # ends with the connection

    def qos_global(self, c: Any) -> bool:
        """Never: quorum queues refuse a prefetch that several consumers share."""
        return False


def _follow(c: Any) -> None:
    if c.task_consumer is not None and c.connection is not None:
        c.task_consumer.consume()


def _look_again(c: Any) -> None:
    """A queue went: if it was the current one, the ledger may name the next already."""
    if c.app.taskyard_queues.look():
        _follow(c)


class WakeUpConsumer(Consumer):
    """Hands Celery nothing but canonical wake-ups.

    A message without an id, or with a body of another shape, would stop the whole worker and be
    redelivered to the next one; an `eta` header would make it hold the message. So a message that
    is no wake-up is dead-lettered, and of the others only task and id are believed.
    """

    class Blueprint(Consumer.Blueprint):
        """The steps without DelayedDelivery, which would declare 28 queues and exchanges."""

        default_steps: ClassVar[list[str]] = [
            "celery.worker.consumer.connection:Connection",
            "celery.worker.consumer.mingle:Mingle",
            "celery.worker.consumer.events:Events",
            "celery.worker.consumer.heart:Heart",
            "taskyard.worker.consumer:PoolTasks",
            "celery.worker.consumer.consumer:Evloop",
        ]

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], None]:
        """Return what is called for every message."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_message(message: Any) -> None:
            fault = wakeup.fault(
                message.headers, message.content_type, message.content_encoding, message.body
            )
            if fault is not None:
                log.error("message is no wake-up, dead-lettered", why=fault)
                message.reject_log_error(None, self.connection_errors)
                return
            message.headers = wakeup.canonical_headers(
                message.headers["task"], message.headers["id"]
            )
            message.body = wakeup.BODY
            message.properties = {
                "correlation_id": message.headers["id"],
                "delivery_info": message.properties.get("delivery_info"),
            }
            handle(message)

        return on_message
