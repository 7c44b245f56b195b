"""Which task types there are, and whether arguments fit them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import jsonschema_rs
import structlog

from taskyard.core.errors import Fault, InvalidArguments
from taskyard.storage import task_types
from taskyard.storage.pool import Pool, borrowed
from taskyard.storage.task_types import Announcement

log = structlog.get_logger(__name__)

_MOST_FAULTS = 20


class Catalog:
    """The announced task types of this moment, with a compiled validator for each."""

    def __init__(self) -> None:
        self.announced: Mapping[str, Announcement] = {}
        self._validators: Mapping[str, jsonschema_rs.Validator | None] = {}
        self.known = asyncio.Event()  # they were read once

    async def refresh(self, pool: Pool) -> None:
        """Read again what workers announced."""
        async with borrowed(pool) as connection:
            announced = await task_types.announcements(connection)
        self.learn(announced)

    def learn(self, announced: Sequence[Announcement]) -> None:
        """Take these for all that there is."""
        self.announced = {each.type: each for each in announced}
        self._validators = {each.type: _validator(each) for each in announced}
        self.known.set()

    def check(self, task_type: str, args: dict[str, Any]) -> None:
        """Raise InvalidArguments with a JSON Pointer for each argument that does not fit.

        A type that no worker has announced yet passes: its worker checks again before it runs.
        """
        validator = self._validators.get(task_type)
        if validator is None or validator.is_valid(args):
            return
        faults = tuple(
            Fault(_pointer(error.instance_path), error.message)
            for error, _ in zip(validator.iter_errors(args), range(_MOST_FAULTS), strict=False)
        )
        raise InvalidArguments(
            f"the arguments do not fit {task_type!r}; its schema is at /v1/task-types",
            faults=faults,
        )


def _validator(announced: Announcement) -> jsonschema_rs.Validator | None:
    """A schema that cannot be compiled is its worker's fault; the others must not suffer for it."""
    try:
        return jsonschema_rs.validator_for(announced.schema)
    except (ValueError, jsonschema_rs.ReferencingError) as error:
        log.error("schema of a task type is not valid", type=announced.type, error=str(error))
        return None


def _pointer(path: list[str | int]) -> str:
    escaped = (str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return "/args" + "".join(f"/{part}" for part in escaped)
