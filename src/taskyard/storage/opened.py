"""Rows whose sealed columns are opened on the way out of the database, and whose others are not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from psycopg import AsyncCursor
from psycopg import Cursor as SyncCursor
from psycopg.rows import no_result

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.sealed import Place
from taskyard.storage.pool import ring_of
from taskyard.storage.sealing import KeyRing

T = TypeVar("T")

Opener = Callable[[KeyRing, Any, Place], Any]
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
TASK: Mapping[str, Opener] = {
    "args": KeyRing.open,
    "result": KeyRing.open,
    "error": KeyRing.told,
    "progress": KeyRing.told,
}
HISTORY: Mapping[str, Opener] = {"error": KeyRing.told, "detail": _with_args_before}
ENDING: Mapping[str, Opener] = {"result": _or_unreadable}
EVENT: Mapping[str, Opener] = {"document": KeyRing.open}
PARKED: Mapping[str, Opener] = {
    "document": KeyRing.open,
    "attributes": KeyRing.open,
    "body": KeyRing.open_bytes,
    "detail": KeyRing.told_text,
}
DELIVERY: Mapping[str, Opener] = {"response_body": KeyRing.told_text}


def opened_row(
    kind: Callable[..., T], openers: Mapping[str, Opener] = TASK, *, identity: str = "id"
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
