"""Deliveries to webhook endpoints: waiting, under way, and what became of them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NewType
from uuid import UUID

from psycopg.rows import class_row

from taskyard.core.principal import TenantId
from taskyard.core.sealed import Place
from taskyard.core.task import TaskId
from taskyard.core.trace import TraceContext, trace_of
from taskyard.storage.opened import DELIVERY, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sql import queries
from taskyard.storage.webhooks import WebhookId

DeliveryId = NewType("DeliveryId", UUID)

_SQL = queries("deliveries")


class DeliveryState(StrEnum):
    """Where a delivery is: `failed` was given up."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """What is to be sent, either to a webhook or to the URL that a task names."""

    id: DeliveryId
    tenant: TenantId
    webhook_id: WebhookId | None
    url: str | None
    endpoint: str
    task_id: TaskId
    seq: int
    event: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that was taken to be sent. `attempts` were made before.

    Its secrets and its body are as they are stored, maybe sealed.
    """

    id: DeliveryId
    tenant: TenantId
    webhook_id: WebhookId | None
    url: str
    body: str
    attempts: int
    secret: bytes | None
    former_secret: bytes | None
    event: str
    task_id: TaskId
    traceparent: str | None
    tracestate: str | None

    @property
    def trace(self) -> TraceContext | None:
        """Where the spans of the task belong."""
        return trace_of(self.traceparent, self.tracestate)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """What an attempt came to; `delay` is in seconds, for what is still pending."""

    state: DeliveryState
    delay: float | None
    status: int | None
    body: str
    fault: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery as the log shows it, with the answer to its latest attempt."""

    id: DeliveryId
    task_id: TaskId
    seq: int
    event: str
    state: DeliveryState
    attempts: int
    created_at: datetime
    next_try_at: datetime | None
    tried_at: datetime | None
    finished_at: datetime | None
    response_status: int | None
    response_body: str | None
    fault: str | None


def body_place(tenant: TenantId, delivery_id: DeliveryId) -> Place:
    """Return where the body of a delivery belongs."""
    return Place(tenant, delivery_id, "body")


async def insert(connection: AsyncConnection, new: Sequence[NewDelivery]) -> None:
    """Store what is to be sent."""
    if new:
        columns = {f"{name}s": [getattr(each, name) for each in new] for name in _COLUMNS}
        columns["bodies"] = [
            connection.ring.seal_text(each.body, body_place(each.tenant, each.id)) for each in new
        ]
        await connection.execute(_SQL["insert_deliveries"], columns)


_COLUMNS = ("id", "tenant", "webhook_id", "url", "endpoint", "task_id", "seq", "event")


async def take(
    connection: AsyncConnection, *, token: UUID, lease: float, most_at_once: int, limit: int
) -> list[Due]:
    """Take what is due, at most so many of one endpoint at once; `lease` is in seconds."""
    given = {"token": token, "lease": lease, "most_at_once": most_at_once, "limit": limit}
    async with connection.cursor(row_factory=class_row(Due)) as cursor:
        await cursor.execute(_SQL["take_deliveries"], given)
        return await cursor.fetchall()


async def finish(connection: AsyncConnection, due: Due, *, token: UUID, came_to: Finish) -> bool:
    """Say what an attempt came to; return False when its lease was lost."""
    place = Place(due.tenant, due.id, "response_body")
    given = asdict(came_to) | {
        "id": due.id, "token": token, "body": connection.ring.seal_text(came_to.body, place),
    }  # fmt: skip
    return await (await connection.execute(_SQL["finish_delivery"], given)).fetchone() is not None


async def page(
    connection: AsyncConnection,
    webhook_id: WebhookId,
    *,
    state: DeliveryState | None,
    before: UUID | None,
    limit: int,
) -> list[Delivery]:
    """Return up to `limit` deliveries to a webhook, newest first, from just below `before`."""
    given = {"webhook_id": webhook_id, "state": state, "before": before, "limit": limit}
    given |= owned_by(connection)
    async with connection.cursor(row_factory=opened_row(Delivery, DELIVERY)) as cursor:
        await cursor.execute(_SQL["list_deliveries"], given)
        return await cursor.fetchall()


async def get(
    connection: AsyncConnection, webhook_id: WebhookId, delivery_id: DeliveryId
) -> Delivery | None:
    """Return a delivery to a webhook, or None if there is none."""
    given = {"id": delivery_id, "webhook_id": webhook_id} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(Delivery, DELIVERY)) as cursor:
        await cursor.execute(_SQL["get_delivery"], given)
        return await cursor.fetchone()


async def replay(
    connection: AsyncConnection, webhook_id: WebhookId, delivery_id: DeliveryId
) -> Delivery | None:
    """Send a delivery once more; return it, or None if there is none."""
    given = {"id": delivery_id, "webhook_id": webhook_id} | owned_by(connection)
    async with connection.cursor(row_factory=opened_row(Delivery, DELIVERY)) as cursor:
        await cursor.execute(_SQL["replay_delivery"], given)
        return await cursor.fetchone()


async def forget(connection: AsyncConnection, *, kept: timedelta, limit: int) -> int:
    """Remove deliveries that ended longer ago; return how many."""
    given = {"kept": kept.total_seconds(), "limit": limit}
    return len(await (await connection.execute(_SQL["forget_deliveries"], given)).fetchall())
