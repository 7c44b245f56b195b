"""Ingest: take events in, each once, with its tasks in the same transaction."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
import structlog
from uuid_utils.compat import uuid7

from taskyard import tracing
from taskyard.core.events import (
    KEPT_OF_TOO_LARGE,
    LARGEST_EVENT,
    Event,
    EventKey,
    NotAnEvent,
    ParkReason,
)
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.trace import TraceContext
from taskyard.services.catalog import Catalog
from taskyard.services.cloudevents import STRUCTURED, Delivery, read
from taskyard.services.commits import tell_commit
from taskyard.services.fire import decide
from taskyard.services.inbox import Incoming, Intaken, Taken, store
from taskyard.storage import parked
from taskyard.storage.parked import NewParked
from taskyard.storage.pool import OwnPool, borrowed

log = structlog.get_logger(__name__)


class Ingest:
    """Takes events in for one tenant, by the rules of a routing table."""

    def __init__(self, pool: OwnPool, *, table: RoutingTable, catalog: Catalog) -> None:
        self._pool = pool
        self._table = table
        self._catalog = catalog

    @property
    def tenant(self) -> TenantId:
        """Whose events they are."""
        return self._pool.owner.tenant

    def look(self, delivery: Delivery, *, now: datetime, key: EventKey | None = None) -> Taken:
        """Return what is to become of a delivery, under a key of its own. Never raises."""
        key = key or EventKey(uuid7())
        try:
            event = read(delivery)
            self._require_user(event, delivery)
            self._require_key(event, delivery)
        except NotAnEvent as error:
            return _unreadable(key, delivery, error)
        return self.consider(event, key=key, now=now)

    def consider(
        self, event: Event, *, key: EventKey, now: datetime, hold: float = 0.0
    ) -> Incoming:
        """Return what is to become of an event."""
        with tracing.span(f"event {event.type}", parent=_trace(event), kind="consumer", root=True):
            decision = decide(
                event, tenant=self.tenant, table=self._table, catalog=self._catalog,
                now=now, hold=hold,
            )  # fmt: skip
            tracing.mark({"cloudevents.event_id": event.id, "taskyard.event.state": decision.state})
        return Incoming(key=key, event=event, decision=decision)

    def _require_user(self, event: Event, delivery: Delivery) -> None:
        if not self._table.events.user_id_is_source:
            return
        user, source = delivery.user_id, event.source.lstrip("/")
        if not user or (source != user and not source.startswith(f"{user}/")):
            sent = f"the user {user!r}" if user else "a publisher that set no user-id"
            raise NotAnEvent(ParkReason.USER_ID, f"{sent} is not the source {event.source!r}")

    def _require_key(self, event: Event, delivery: Delivery) -> None:
        """The broker checks which keys a publisher uses, so the key must tell the type."""
        key = delivery.routing_key
        if self._table.events.publishers and key is not None and key != event.type:
            detail = f"the type is {event.type!r}, but the routing key {key!r}"
            raise NotAnEvent(ParkReason.ROUTING_KEY, detail)

    async def take_in(self, given: Sequence[Taken]) -> Intaken:
        """Store all in one transaction. One that the database refuses is parked, not the others.

        Raises StorageUnavailable: then nothing was stored, or all was; saying it again is harmless.
        """
        try:
            async with borrowed(self._pool) as connection, connection.transaction():
                began = time.time_ns()
                came = await store(connection, given)
        except (psycopg.DataError, psycopg.IntegrityError) as error:
            return await self._take_in_apart(given, error)
        tell_commit([task for task, _ in came.stored], began=began)
        return came

    async def _take_in_apart(self, given: Sequence[Taken], error: psycopg.Error) -> Intaken:
        if len(given) > 1:
            half = len(given) // 2
            one, other = await self.take_in(given[:half]), await self.take_in(given[half:])
            return Intaken(
                before=one.before | other.before,
                stored=one.stored + other.stored,
                tasks=one.tasks | other.tasks,
            )
        log.warning("an event was refused by the database", error=str(error).strip())
        async with borrowed(self._pool) as connection:
            await parked.park(connection, [_refused(given[0], type(error).__name__)])
        return Intaken()


def _trace(event: Event) -> TraceContext | None:
    """Return the trace that an event belongs to: CloudEvents, Distributed Tracing extension."""
    sent, state = (event.document.get(name) for name in ("traceparent", "tracestate"))
    if not isinstance(sent, str):
        return None
    return tracing.incoming(sent, state if isinstance(state, str) else None)


def _refused(taken: Taken, why: str) -> NewParked:
    """What the database does not take as it is; an event is kept in its JSON form."""
    body = msgspec.json.encode(taken.event.document) if isinstance(taken, Incoming) else b""
    return NewParked(
        key=taken.key,
        reason=ParkReason.UNSTORABLE,
        detail=f"the database refused it: {why}",
        content_type=STRUCTURED,
        body=body,
        size=len(body),
    )


def _unreadable(key: EventKey, delivery: Delivery, error: NotAnEvent) -> NewParked:
    size = max(delivery.size, len(delivery.body))
    return NewParked(
        key=key,
        reason=error.reason,
        detail=_storable(error.detail) or "",
        content_type=_storable(delivery.content_type),
        content_encoding=_storable(delivery.content_encoding),
        user_id=_storable(delivery.user_id),
        attributes={
            str(_storable(k)): _plain(v) for k, v in list(delivery.attributes.items())[:64]
        },
        body=delivery.body[: KEPT_OF_TOO_LARGE if size > LARGEST_EVENT else None],
        size=size,
    )


def _storable(text: str | None) -> str | None:
    """Text that Postgres can hold, and not too much of it."""
    if text is None:
        return None
    return text.replace("\0", "\ufffd")[:2_000].encode("utf-8", "replace").decode()


def _plain(value: Any) -> Any:
    """What attributes are read from again; what is neither is shown as text."""
    return value if isinstance(value, bool | int) else _storable(str(value))
