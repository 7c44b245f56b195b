"""The page Tasks: a search, newest first, live."""

import time

from quart import Blueprint, Response, request

from taskyard.core.states import State
from taskyard.storage import task_search
from taskyard.storage.pool import borrowed
from taskyard.ui import search
from taskyard.ui.frame import own, page, redirect, viewer
from taskyard.ui.many_tasks import possible
from taskyard.ui.search import Asked
from taskyard.ui.yard import Yard

PAGE = 50
# One viewer may cost 0.2 % of a core of the database: the next look comes so many times later than
# this one took, within bounds.
_PATIENCE, _SOONEST, _LATEST = 500, 2.0, 60.0


def serve_tasks(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the list."""

    @blueprint.get("/tasks")
    async def tasks() -> Response:
        asked = search.read(request.args)
        if dict(asked.given) != request.args.to_dict():
            return redirect(f"/tasks?{asked.query()}".rstrip("?"))  # without what was left empty
        began = time.monotonic()
        found = [] if asked.faults else await _found(yard, asked)
        again = min(max((time.monotonic() - began) * _PATIENCE, _SOONEST), _LATEST)
        return await page(
            "tasks.html",
            422 if asked.faults else 200,
            asked=asked,
            found=found,
            older=found[-1].id if len(found) == PAGE else None,
            # Only the newest page changes by itself.
            again=None if asked.faults or asked.older else again,
            states=list(State),
            pools=sorted(yard.table.pools),
            types=sorted(filter(viewer().principal.may_touch, yard.catalog.announced)),
            encrypted=yard.encrypted,
            may=possible(),
        )


async def _found(yard: Yard, asked: Asked) -> list[task_search.FoundTask]:
    pool = own(yard.pool)
    ids = await task_search.find(pool, asked.search, before=asked.older, limit=PAGE)
    async with borrowed(pool) as connection:
        return await task_search.found(connection, [task_id for task_id, _ in ids])
