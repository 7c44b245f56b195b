"""From requests to values: bodies, ids and query parameters, refused in words when faulty."""

import base64
import re
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from quart import request

from taskyard import strict_json
from taskyard.api.body import raw_body
from taskyard.api.caller import caller
from taskyard.core import idempotency
from taskyard.core.errors import Fault, InvalidRequest, TaskNotFound, UnsupportedMediaType
from taskyard.core.idempotency import IdempotencyKey
from taskyard.core.task import TaskId

T = TypeVar("T")

_CURSOR = re.compile(r"[A-Za-z0-9_-]{22}")
_WHERE = re.compile(r" - at `\$?([^`]*)`$")


async def json_body() -> Any:
    """Return the decoded body. Raises what `raw_body` does, MalformedBody and InvalidRequest."""
    _require_json()
    return strict_json.decode(await raw_body())


async def json_body_or_none() -> Any:
    """Return the decoded body, or an empty object when none was sent."""
    body = await raw_body()
    if not body:
        return {}
    _require_json()
    return strict_json.decode(body)


def _require_json() -> None:
    if request.mimetype != "application/json":
        sent = request.mimetype or "no Content-Type"
        raise UnsupportedMediaType(f"the body is {sent}; send Content-Type: application/json")


def convert(value: Any, kind: type[T]) -> T:
    """Return a decoded value as a struct. Raises InvalidRequest, pointing at the field."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(
            "the request has invalid fields", faults=(_fault(str(error)),)
        ) from None


def _fault(message: str) -> Fault:
    """Turn msgspec's "… - at `$.labels[0]`" into a JSON Pointer and a sentence."""
    found = _WHERE.search(message)
    path = found.group(1) if found else ""
    pointer = re.sub(r"\[(\d+)\]", r"/\1", path.replace("[...]", "")).replace(".", "/")
    sentence = _WHERE.sub("", message)
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", sentence):
        return Fault(f"{pointer}/{unknown.group(1)}", "is not a known field; remove it")
    if missing := re.fullmatch(r"Object missing required field `(.*)`", sentence):
        return Fault(f"{pointer}/{missing.group(1)}", "is required")
    return Fault(pointer, sentence[:1].lower() + sentence[1:])


def idempotency_key(*, longest: int = idempotency.LONGEST_KEY) -> IdempotencyKey | None:
    """Return the key in the Idempotency-Key header, if there is one. Raises InvalidRequest."""
    values = request.headers.getlist("Idempotency-Key")
    if not values:
        return None
    try:
        if len(values) > 1:
            raise ValueError(f"is given {len(values)} times; send one")
        return idempotency.read_header(values[0].strip(), tenant=caller().tenant, longest=longest)
    except ValueError as error:
        fault = Fault("Idempotency-Key", str(error))
        raise InvalidRequest("the Idempotency-Key header is not valid", faults=(fault,)) from None


def task_id(text: str) -> TaskId:
    """Return a task id. What is no UUID cannot name a task: raises TaskNotFound."""
    try:
        return TaskId(UUID(text))
    except ValueError:
        raise TaskNotFound(f"there is no task {text[:64]!r}; ids are UUIDs") from None


def to_cursor(last: UUID) -> str:
    """Return the cursor of the page after the task `last`."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def from_cursor(text: str) -> UUID:
    """Return the task a cursor stands for. Raises ValueError for what never was one."""
    if not _CURSOR.fullmatch(text):
        raise ValueError("is not a cursor that a page gave")
    return UUID(bytes=base64.urlsafe_b64decode(text + "=="))
