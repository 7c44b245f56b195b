"""What clients see of the audit log."""

from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.audit import Entry


class AuditEntryView(msgspec.Struct, kw_only=True):
    """One thing that was done; `hash` is chained to the entry before."""

    entry: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: dict[str, Any]
    hash: str


class AuditPage(msgspec.Struct, kw_only=True):
    """Entries, newest first; `next_cursor` is absent on the last page."""

    items: list[AuditEntryView]
    next_cursor: str | None


SCHEMAS = (AuditPage,)


def entry_view(entry: Entry) -> AuditEntryView:
    """Return what an admin sees of an entry."""
    return AuditEntryView(
        entry=entry.seq,
        at=entry.at,
        actor=entry.actor,
        action=entry.action,
        target=entry.target,
        detail=msgspec.json.decode(entry.detail),
        hash=entry.hash.hex(),
    )
