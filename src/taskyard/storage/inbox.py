"""Events from outside, as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.events import Event, EventKey, EventState
from taskyard.core.principal import TenantId
from taskyard.core.sealed import Place
from taskyard.storage.bounded import Bounded, up_to
from taskyard.storage.opened import EVENT, LISTED_EVENT, Openers, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("inbox")


class EventTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a rule made of an event, or one with the same dedupe value made before."""

    rule: str
    task: str
    generation: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event to take in, and what its rules made of it."""

    key: EventKey
    event: Event
    state: EventState
    reason: str | None
    tasks: tuple[EventTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event of the log."""

    key: EventKey
    tenant: TenantId
    source: str
    id: str
    type: str
    subject: str | None
    time: datetime | None
    received_at: datetime
    state: EventState
    reason: str | None
    generation: int
    document: dict[str, Any]
    tasks: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a stored event when its rules were considered again."""

    key: EventKey
    state: EventState
    reason: str | None
    generation: int
    tasks: tuple[EventTask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events are meant: what is None does not matter.

    Those from the key `since` up to below `until`, whose type matches a regular expression.
    """

    since: EventKey | None = None
    until: EventKey | None = None
    source: str | None = None
    subject: str | None = None
    state: EventState | None = None
    matching: str | None = None


async def insert(connection: AsyncConnection, events: Sequence[NewEvent]) -> set[EventKey]:
    """Take events in; return the keys of those that were not there yet."""
    tenant = owned_by(connection)["tenant"]
    found = [
        {
            "key": each.key,
            "tenant": tenant,
            "source": each.event.source,
            "id": each.event.id,
            "type": each.event.type,
            "subject": each.event.subject,
            "time": each.event.time,
            "state": each.state,
            "reason": each.reason,
            "document": _sealed(each, tenant, connection.ring),
            "tasks": each.tasks,
        }
        for each in events
    ]
    given = {"events": msgspec.json.encode(found).decode()}
    cursor = await connection.execute(_SQL["insert_events"], given)
    return {EventKey(row[0]) for row in await cursor.fetchall()}


def _sealed(each: NewEvent, tenant: TenantId, ring: KeyRing) -> msgspec.Raw:
    text = msgspec.json.encode(each.event.document).decode()
    return msgspec.Raw(ring.seal(text, Place(tenant, each.key, "document")).encode())


async def find(
    connection: AsyncConnection, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], StoredEvent]:
    """Return the events of these sources and ids that are there."""
    given = {
        "tenants": [owned_by(connection)["tenant"]] * len(names),
        "sources": [name[0] for name in names],
        "ids": [name[1] for name in names],
    }
    found = await _events(connection, "find_events", given, listed=True)
    return {(each.source, each.id): each for each in found}


async def get(connection: AsyncConnection, key: EventKey) -> StoredEvent | None:
    """Return one event, or None."""
    found = await _events(connection, "get_event", {"key": key} | owned_by(connection))
    return found[0] if found else None


async def page(
    connection: AsyncConnection, wanted: Wanted, *, below: EventKey | None, limit: int
) -> Bounded[StoredEvent]:
    """Return up to `limit` events and 8 MiB of them, newest first, from just below a key."""
    given = {name: getattr(wanted, name) for name in Wanted.__slots__}
    given |= {"below": below, "limit": limit} | owned_by(connection)
    return await _bounded(connection, "list_events", given, LISTED_EVENT)


async def walk(
    connection: AsyncConnection,
    *,
    after: EventKey,
    until: EventKey,
    matching: str | None,
    limit: int,
    keep: bool = False,
) -> Bounded[StoredEvent]:
    """Return the next events in the order of arrival, up to 8 MiB of them.

    `keep` locks them for this transaction.
    """
    given = {"after": after, "until": until, "matching": matching, "limit": limit}
    given |= owned_by(connection)
    return await _bounded(connection, "take_events" if keep else "walk_events", given, EVENT)


async def set_verdicts(connection: AsyncConnection, verdicts: Sequence[Verdict]) -> None:
    """Record what became of stored events."""
    given = {
        "keys": [each.key for each in verdicts],
        "states": [each.state for each in verdicts],
        "reasons": [each.reason for each in verdicts],
        "tasks": [_text(each.tasks) for each in verdicts],
        "generations": [each.generation for each in verdicts],
    }
    await connection.execute(_SQL["set_events"], given)


async def sweep(connection: AsyncConnection, *, until: EventKey, limit: int) -> int:
    """Remove up to `limit` of the oldest events below a key; return how many."""
    given = {"until": until, "limit": limit}
    return (await connection.execute(_SQL["sweep_events"], given)).rowcount


async def sweep_parked(connection: AsyncConnection, *, until: EventKey, limit: int) -> int:
    """Remove up to `limit` of the oldest parked events below a key; return how many."""
    given = {"until": until, "limit": limit}
    return (await connection.execute(_SQL["sweep_parked"], given)).rowcount


def event_tasks(stored: Sequence[dict[str, Any]]) -> tuple[EventTask, ...]:
    """Return the tasks of a stored event."""
    return tuple(msgspec.convert(stored, list[EventTask]))


def _text(tasks: Sequence[EventTask]) -> str:
    return msgspec.json.encode(tasks).decode()


async def _bounded(
    connection: AsyncConnection, statement: str, given: dict[str, Any], openers: Openers
) -> Bounded[StoredEvent]:
    opened = opened_row(StoredEvent, openers, identity="key")
    return await up_to(connection, _SQL[statement], given, opened, size=_size)


def _size(stored: StoredEvent) -> int:
    return len(msgspec.json.encode(stored.document))


async def _events(
    connection: AsyncConnection, statement: str, given: dict[str, Any], *, listed: bool = False
) -> list[StoredEvent]:
    """Return events; of those that are only listed, what cannot be opened says so in its place."""
    opened = opened_row(StoredEvent, LISTED_EVENT if listed else EVENT, identity="key")
    async with connection.cursor(row_factory=opened) as cursor:
        await cursor.execute(_SQL[statement], given)
        return await cursor.fetchall()
