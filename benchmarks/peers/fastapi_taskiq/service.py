"""FastAPI in front of Taskiq: asyncio from end to end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import tally
from fastapi import FastAPI
from tasks import broker, noop, results
from wishes import Accepted, AllAccepted, Shown, Wish, Wishes


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open broker and results."""
    await broker.startup()
    yield
    await broker.shutdown()


app = FastAPI(lifespan=lifespan)


@app.post("/v1/tasks", status_code=202)
async def submit(wish: Wish) -> Accepted:
    """Accept one task."""
    accepted = await _submit(wish)
    tally.taken.add()
    return accepted


@app.post("/v1/tasks/batch", status_code=202)
async def submit_batch(wishes: Wishes) -> AllAccepted:
    """Accept many tasks, published side by side."""
    items = await asyncio.gather(*map(_submit, wishes.tasks))
    tally.taken.add(len(items))
    return AllAccepted(accepted=len(items), items=items)


async def _submit(wish: Wish) -> Accepted:
    return Accepted(id=(await noop.kiq(**wish.args.model_dump())).task_id)


@app.get("/v1/tasks/{task}")
async def show(task: str) -> Shown:
    """Show a task's result, once there is one."""
    found = await results.find(task)
    return Shown(id=task, state="pending" if found is None else "succeeded", result=found)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Say that this process serves."""
    return {"status": "ok"}
