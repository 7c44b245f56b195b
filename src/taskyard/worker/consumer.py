"""Celery's consumer, made deaf to anything but a wake-up."""

from collections.abc import Callable
from typing import Any, ClassVar

import structlog
from celery.worker.consumer import Consumer
from celery.worker.consumer.tasks import Tasks

from taskyard.broker import wakeup

log = structlog.get_logger(__name__)


class PoolTasks(Tasks):
    """Celery's task consumer with a prefetch per consumer, which quorum queues insist on."""

    name = "Tasks"

    def qos_global(self, c: Any) -> bool:
        """Never: a worker consumes one queue, so both mean the same, and quorum queues refuse."""
        return False


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
