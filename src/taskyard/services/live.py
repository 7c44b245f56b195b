"""Live: whether the code that is to be deployed can run what is there already."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from taskyard.core.errors import InvalidArguments, UnknownTaskType
from taskyard.core.routing import RoutingTable
from taskyard.core.states import State
from taskyard.core.task import TaskId
from taskyard.services.catalog import Catalog
from taskyard.storage.live import Unfinished, unfinished
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.task_types import Announcement

_DEAD = (State.FAILED, State.EXPIRED, State.QUARANTINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """Tasks of one type that the code would refuse; `problem` is what it says of the `sample`.

    `pointer` is a JSON Pointer into the sample's arguments; empty when it is not about them.
    """

    type: str
    dead_letters: bool
    count: int
    sample: TaskId
    pointer: str
    problem: str


async def misfits(
    connection: AsyncConnection, announced: Sequence[Announcement], table: RoutingTable
) -> list[Misfit]:
    """Return what the code would fail, by type: what waits or runs, and what may be replayed."""
    catalog = Catalog()
    catalog.learn(announced)
    found: dict[tuple[str, bool], Misfit] = {}
    async with aclosing(unfinished(connection)) as tasks:
        async for task in tasks:
            if (problem := _problem(task, catalog, table)) is None:
                continue
            key = (task.type, task.state in _DEAD)
            if key in found:
                found[key] = replace(found[key], count=found[key].count + 1)
            else:
                pointer, sentence = problem
                found[key] = Misfit(
                    type=task.type,
                    dead_letters=key[1],
                    count=1,
                    sample=task.id,
                    pointer=pointer,
                    problem=sentence,
                )
    return [found[key] for key in sorted(found)]


def _problem(task: Unfinished, catalog: Catalog, table: RoutingTable) -> tuple[str, str] | None:
    try:
        table.resolve(task.type)
    except UnknownTaskType:
        return "", "no pool runs the type"
    if task.type not in catalog.announced:
        return "", "no task answers to the type"
    if not task.readable:
        return "", "its arguments cannot be opened with these encryption keys"
    try:
        catalog.check(task.type, task.args)
    except InvalidArguments as error:
        return error.faults[0].where.removeprefix("/args"), error.faults[0].problem
    return None
