"""Audit: what was done is recorded with it, and what is recorded can be proven."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from taskyard.core.audit import Action, Anchor, Entry, Link, follow
from taskyard.core.principal import TenantId
from taskyard.storage import audit
from taskyard.storage.audit import NewEntry
from taskyard.storage.pool import AsyncConnection

_ROWS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What became of one tenant's log: its head, to be noted elsewhere, and what is wrong."""

    head: Anchor
    entries: int
    faults: tuple[str, ...]


async def record(
    connection: AsyncConnection,
    action: Action,
    target: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Record what is done on somebody's behalf, in the transaction that does it, as its last act.

    `target` is what it is done to, such as `task:0198…`. `detail` never holds arguments or secrets.
    Raises LookupError on a connection that is on nobody's behalf.
    """
    if connection.owner is None or connection.actor is None:
        raise LookupError("the connection is on nobody's behalf: say whose with record_as")
    await record_as(
        connection, action, target, detail, tenant=connection.owner.tenant, actor=connection.actor
    )


async def record_as(
    connection: AsyncConnection,
    action: Action,
    target: str,
    detail: Mapping[str, Any] | None = None,
    *,
    tenant: TenantId,
    actor: str,
) -> None:
    """Record what somebody does to a tenant from outside, such as on the command line."""
    text = msgspec.json.encode(detail or {}, order="sorted").decode()
    new = NewEntry(tenant=tenant, actor=actor, action=action, target=target, detail=text)
    await audit.append(connection, new)


async def verify(
    connection: AsyncConnection, anchors: Sequence[Anchor] = ()
) -> AsyncIterator[Finding]:
    """Walk every tenant's log and yield what was found; anchors are heads noted earlier."""
    noted: dict[TenantId, list[Link]] = {}
    for anchor in anchors:
        noted.setdefault(anchor.tenant, []).append(anchor.link)
    for tenant in sorted({*await audit.tenants(connection), *noted}):
        yield await _verify(connection, tenant, noted.get(tenant, []))


async def _verify(connection: AsyncConnection, tenant: TenantId, noted: list[Link]) -> Finding:
    last, entries = Link(), 0
    faults: list[str] = []
    seen: dict[int, bytes] = {}
    wanted = {link.seq for link in noted}
    async for entry in _entries(connection, tenant):
        if not entries and entry.seq - 1 in wanted:  # what is older was taken out on purpose
            last = Link(entry.seq - 1, entry.previous)
            seen[last.seq] = last.hash
        last, wrong = follow(last, entry)
        entries += 1
        faults += wrong
        if last.seq in wanted:
            seen[last.seq] = last.hash
    faults += [_anchor_fault(link, last, seen) for link in noted if seen.get(link.seq) != link.hash]
    return Finding(head=Anchor(tenant, last), entries=entries, faults=tuple(faults))


def _anchor_fault(link: Link, last: Link, seen: Mapping[int, bytes]) -> str:
    if link.seq > last.seq:
        return f"the log ends at entry {last.seq}; it had {link.seq} when the anchor was noted"
    if link.seq in seen:
        return f"entry {link.seq} is another than when the anchor was noted"
    return f"entry {link.seq}, of the anchor, was removed"


async def _entries(connection: AsyncConnection, tenant: TenantId) -> AsyncIterator[Entry]:
    after = -1
    while found := await audit.walk(connection, tenant, after=after, limit=_ROWS_AT_ONCE):
        for entry in found:
            yield entry
        after = found[-1].seq
