"""Parked events: what arrived and waits for a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.events import EventKey, ParkReason
from taskyard.core.sealed import Place
from taskyard.storage.bounded import Bounded, up_to
from taskyard.storage.opened import LISTED_PARKED, PARKED, Openers, opened_row
from taskyard.storage.pool import AsyncConnection, owned_by
from taskyard.storage.sealing import KeyRing
from taskyard.storage.sql import queries

_SQL = queries("parked")
_SHOWN = 2_000  # bytes of a body


@dataclass(frozen=True, slots=True, kw_only=True)
class NewParked:
    """Something to park. What could not be read comes with all that is needed to read it again."""

    key: EventKey
    reason: ParkReason
    detail: str
    source: str | None = None
    id: str | None = None
    type: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    user_id: str | None = None
    attributes: Mapping[str, Any] | None = None
    body: bytes | None = None
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """Something that is parked; `document`, `generation` and `tasks` are those of its event."""

    key: EventKey
    parked_at: datetime
    reason: ParkReason
    detail: str
    source: str | None
    id: str | None
    type: str | None
    content_type: str | None
    content_encoding: str | None
    user_id: str | None
    attributes: dict[str, Any] | None
    body: bytes | None
    size: int
    replays: int
    document: dict[str, Any] | None
    generation: int | None
    tasks: list[dict[str, Any]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedWanted:
    """Which parked events are meant: what is None does not matter."""

    since: EventKey | None = None
    until: EventKey | None = None
    reason: ParkReason | None = None
    source: str | None = None
    matching: str | None = None


async def park(connection: AsyncConnection, parked: Sequence[NewParked]) -> None:
    """Park what arrived."""
    names = [field.name for field in fields(NewParked)]
    columns: dict[str, list[Any]] = {
        _plural(name): [getattr(each, name) for each in parked] for name in names
    }
    tenant = owned_by(connection)["tenant"]
    columns["tenants"] = [tenant] * len(parked)
    for name, seal in _SEALED.items():
        columns[_plural(name)] = [
            None
            if (value := getattr(each, name)) is None
            else seal(connection.ring, value, Place(tenant, each.key, name))
            for each in parked
        ]
    await connection.execute(_SQL["park"], columns)


def _seal_attributes(ring: KeyRing, given: Mapping[str, Any], place: Place) -> str:
    return ring.seal(msgspec.json.encode(given).decode(), place)


_SEALED: Mapping[str, Callable[[KeyRing, Any, Place], Any]] = {
    "detail": KeyRing.seal_text,
    "attributes": _seal_attributes,
    "body": KeyRing.seal_bytes,
}


def _plural(name: str) -> str:
    return {"body": "bodies", "attributes": "attributes"}.get(name, f"{name}s")


async def page(
    connection: AsyncConnection, wanted: ParkedWanted, *, below: EventKey | None, limit: int
) -> Bounded[Parked]:
    """Return up to `limit` parked events and 8 MiB, newest first; of a body the beginning only."""
    given = asdict(wanted) | {"below": below, "limit": limit, "shown": _SHOWN}
    given |= owned_by(connection)
    found = await _parked(connection, "list_parked", given, LISTED_PARKED)
    shown = [replace(each, body=each.body[:_SHOWN]) if each.body else each for each in found.rows]
    return replace(found, rows=shown)


async def take(
    connection: AsyncConnection,
    *,
    wanted: ParkedWanted,
    after: EventKey,
    key: EventKey | None = None,
    limit: int,
) -> Bounded[Parked]:
    """Lock up to `limit` parked events above a key and 8 MiB of them, the oldest first."""
    given = asdict(wanted) | {"after": after, "key": key, "limit": limit}
    given |= owned_by(connection)
    return await _parked(connection, "take_parked", given, PARKED)


async def still(
    connection: AsyncConnection, reasons: Mapping[EventKey, tuple[ParkReason, str]]
) -> None:
    """Record why these stay parked after another replay."""
    tenant, ring = owned_by(connection)["tenant"], connection.ring
    given = {
        "keys": [*reasons],
        "reasons": [reason for reason, _ in reasons.values()],
        "details": [
            ring.seal_text(detail, Place(tenant, key, "detail"))
            for key, (_, detail) in reasons.items()
        ],
    }
    await connection.execute(_SQL["still_parked"], given)


async def unpark(connection: AsyncConnection, keys: Sequence[EventKey]) -> None:
    """Let these go."""
    await connection.execute(_SQL["unpark"], {"keys": list(keys)})


async def _parked(
    connection: AsyncConnection, statement: str, given: dict[str, Any], openers: Openers
) -> Bounded[Parked]:
    opened = opened_row(Parked, openers, identity="key")
    return await up_to(connection, _SQL[statement], given, opened, size=_size)


def _size(found: Parked) -> int:
    return len(found.body or b"") + len(msgspec.json.encode((found.document, found.attributes)))
