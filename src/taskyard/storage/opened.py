"""Rows whose sealed columns are opened on the way out of the database, and whose others are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from psycopg import AsyncCursor
from psycopg import Cursor as SyncCursor
from psycopg.rows import no_result

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.sealed import Place
from taskyard.storage.failures import told_failure
from taskyard.storage.pool import ring_of
from taskyard.storage.sealing import KeyRing

T = TypeVar("T")

Opener = Callable[[KeyRing, Any, Place], Any]
Openers = Mapping[str, Opener]
AnyCursor = SyncCursor[Any] | AsyncCursor[Any]
RowMaker = Callable[[Sequence[Any]], T]


def _with_args_before(ring: KeyRing, detail: Any, place: Place) -> Any:
    """What a replay changed: the arguments were taken over as they stood in the task's row."""
    if "args_before" not in detail:
        return detail
    return detail | {"args_before": ring.told(detail["args_before"], place._replace(field="args"))}


UNREADABLE = object()


def _or_unreadable(ring: KeyRing, value: Any, place: Place) -> Any:
    try:
        return ring.open(value, place)
    except (EncryptionKeyMissing, SealBroken):
        return UNREADABLE


# A caller's data is opened or it is an error; what is only told says in words why it cannot be.
TASK: Openers = {
    "args": KeyRing.open,
    "result": KeyRing.open,
    "error": told_failure,
    "progress": KeyRing.told,
}
# In a list one task must not stand in the way of all others.
LISTED: Openers = {**TASK, "args": KeyRing.told, "result": KeyRing.told}
ENDED: Openers = {**TASK, "args": _or_unreadable, "result": _or_unreadable}
HISTORY: Openers = {"error": told_failure, "detail": _with_args_before}
ENDING: Openers = {"result": _or_unreadable}
EVENT: Openers = {"document": KeyRing.open}
LISTED_EVENT: Openers = {"document": KeyRing.told}
PARKED: Openers = {
    "document": KeyRing.open,
    "attributes": KeyRing.open,
    "body": KeyRing.open_bytes,
    "detail": KeyRing.told_text,
}
LISTED_PARKED: Openers = {
    "document": KeyRing.told,
    "attributes": KeyRing.told,
    "body": KeyRing.told_bytes,
    "detail": KeyRing.told_text,
}
DELIVERY: Openers = {"response_body": KeyRing.told_text}


def opened_row(
    kind: Callable[..., T], openers: Openers = TASK, *, identity: str = "id"
) -> Callable[[AnyCursor], RowMaker[T]]:
    """Return the row factory that makes `kind` of rows with a tenant and an id, and opens them.

    Columns that `kind`, a dataclass, has no field for are left out; for `dict` all are kept. Making
    a row raises EncryptionKeyMissing and SealBroken.
    """

    def factory(cursor: AnyCursor) -> RowMaker[T]:
        if cursor.description is None:
            return no_result
        names = [column.name for column in cursor.description]
        known = {each.name for each in fields(kind)} if is_dataclass(kind) else set(names)
        extra = [name for name in names if name not in known]
        plan = [(name, openers[name]) for name in names if name in openers]
        ring = ring_of(cursor)

        def make(values: Sequence[Any]) -> T:
            row = dict(zip(names, values, strict=True))
            for name, opener in plan:
                if (value := row[name]) is not None:
                    row[name] = opener(ring, value, Place(row["tenant"], row[identity], name))
            for name in extra:
                del row[name]
            return kind(**row)

        return make

    return factory
