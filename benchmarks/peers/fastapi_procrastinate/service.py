"""FastAPI in front of Procrastinate: a task is accepted when its row is committed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from tasks import app as queue
from tasks import noop
from wishes import Accepted, AllAccepted, Shown, Wish, Wishes


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Open the connections."""
    async with queue.open_async():
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/v1/tasks", status_code=202)
async def submit(wish: Wish) -> Accepted:
    """Accept one task."""
    return Accepted(id=str(await noop.defer_async(**wish.args.model_dump())))


@app.post("/v1/tasks/batch", status_code=202)
async def submit_batch(wishes: Wishes) -> AllAccepted:
    """Accept many tasks in one statement."""
    ids = await noop.batch_defer_async(*(wish.args.model_dump() for wish in wishes.tasks))
    return AllAccepted(accepted=len(ids), items=[Accepted(id=str(each)) for each in ids])


@app.get("/v1/tasks/{task}")
async def show(task: int) -> Shown:
    """Show how far a task is."""
    status = await queue.job_manager.get_job_status_async(job_id=task)
    return Shown(id=str(task), state=status.value)


@app.get("/livez")
async def livez() -> dict[str, str]:
    """Say that this process serves."""
    return {"status": "ok"}
