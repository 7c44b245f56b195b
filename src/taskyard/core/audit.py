"""The audit log: who did what to which, each entry chained to the one before it."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from taskyard.core.principal import TENANT, TenantId

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What belongs to no tenant is in a log of its own. No tenant can be called so: nobody reads it over
# the API, and no credential can stand for it.
DEPLOYMENT = TenantId("_deployment")
_ANCHOR = re.compile(rf"({TENANT.pattern}|{DEPLOYMENT})@([0-9]{{1,18}}):([0-9a-f]{{64}})")


class Action(StrEnum):
    """What was done. Submissions are not among them: the tasks themselves tell."""

    TASK_CANCELLED = "task.cancelled"
    TASK_REPLAYED = "task.replayed"
    TASK_REPRIORITISED = "task.reprioritised"
    TASKS_CANCELLED = "tasks.cancelled"
    TASKS_REPLAYED = "tasks.replayed"
    TASKS_REPRIORITISED = "tasks.reprioritised"
    DEAD_LETTERS_REPLAYED = "dead-letters.replayed"
    WEBHOOK_MADE = "webhook.made"
    WEBHOOK_CHANGED = "webhook.changed"
    WEBHOOK_ROTATED = "webhook.rotated"
    WEBHOOK_REMOVED = "webhook.removed"
    WEBHOOK_TESTED = "webhook.tested"
    DELIVERY_REPLAYED = "delivery.replayed"
    EVENTS_REPLAYED = "events.replayed"
    PARKED_EVENTS_REPLAYED = "parked-events.replayed"
    POOL_PAUSED = "pool.paused"
    POOL_RESUMED = "pool.resumed"
    WORKER_DRAINED = "worker.drained"
    KEY_MADE = "key.made"
    KEY_REVOKED = "key.revoked"
    SESSION_BEGUN = "session.begun"
    SESSION_ENDED = "session.ended"
    LOGIN_REFUSED = "login.refused"
    TENANT_CHANGED = "tenant.changed"
    BROKER_USERS_CHANGED = "broker-users.changed"
    REENCRYPTION_BEGUN = "reencryption.begun"
    REENCRYPTION_ENDED = "reencryption.ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that was done; `detail` is JSON, letter by letter as it was hashed."""

    tenant: TenantId
    seq: int
    at: datetime
    actor: str
    action: str
    target: str
    detail: str
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Link:
    """An entry's number and hash: what the next one must follow from."""

    seq: int = 0
    hash: bytes = bytes(32)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A head that was noted elsewhere: whoever cuts the log below it is found out."""

    tenant: TenantId
    link: Link

    def __str__(self) -> str:
        return f"{self.tenant}@{self.link.seq}:{self.link.hash.hex()}"


def read_anchor(text: str) -> Anchor:
    """Read what `str` of an anchor gave. Raises ValueError."""
    if (found := _ANCHOR.fullmatch(text)) is None:
        raise ValueError(f"is {text[:80]!r}, not <tenant>@<number>:<64 hexadecimal digits>")
    tenant, seq, digest = found.groups()
    return Anchor(TenantId(tenant), Link(int(seq), bytes.fromhex(digest)))


def digest(entry: Entry) -> bytes:
    """Return the hash an entry must have: SHA-256 over `previous` and its fields as netstrings.

    The database makes the same (migration 0022). Netstrings: https://cr.yp.to/proto/netstrings.txt
    """
    at = (entry.at - _EPOCH) // timedelta(microseconds=1)
    parts = (entry.tenant, entry.seq, at, entry.actor, entry.action, entry.target, entry.detail)
    hashed = hashlib.sha256(entry.previous)
    for part in parts:
        data = str(part).encode()
        hashed.update(b"%d:%b," % (len(data), data))
    return hashed.digest()


def follow(last: Link, entry: Entry) -> tuple[Link, tuple[str, ...]]:
    """Return the link that an entry is, and what is wrong with it behind the last one."""
    faults = []
    if entry.seq > last.seq + 1:
        gone = f"{last.seq + 1}" if entry.seq == last.seq + 2 else f"{last.seq + 1}-{entry.seq - 1}"
        faults.append(f"entry {gone} was removed")
    elif entry.previous != last.hash:
        faults.append(f"entry {entry.seq} does not follow from entry {last.seq}: one was replaced")
    if digest(entry) != entry.hash:
        faults.append(f"entry {entry.seq} was changed")
    return Link(entry.seq, entry.hash), tuple(faults)
