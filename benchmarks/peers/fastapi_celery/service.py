"""FastAPI in front of Celery: handlers are plain functions, since Celery's client blocks."""

import tally
from fastapi import FastAPI
from tasks import noop
from wishes import Accepted, AllAccepted, Shown, Wish, Wishes

app = FastAPI()


@app.post("/v1/tasks", status_code=202)
def submit(wish: Wish) -> Accepted:
    """Accept one task."""
    accepted = Accepted(id=noop.delay(**wish.args.model_dump()).id)
    tally.taken.add()
    return accepted


@app.post("/v1/tasks/batch", status_code=202)
def submit_batch(wishes: Wishes) -> AllAccepted:
    """Accept many tasks, all over one connection to the broker."""
    with noop.app.producer_or_acquire() as producer:
        ids = [
            noop.apply_async(kwargs=wish.args.model_dump(), producer=producer).id
            for wish in wishes.tasks
        ]
    tally.taken.add(len(ids))
    return AllAccepted(accepted=len(ids), items=[Accepted(id=each) for each in ids])


@app.get("/v1/tasks/{task}")
def show(task: str) -> Shown:
    """Show a task's state, and its result once there is one."""
    found = noop.AsyncResult(task)
    state = found.state
    return Shown(id=task, state=state, result=found.result if state == "SUCCESS" else None)


@app.get("/livez")
def livez() -> dict[str, str]:
    """Say that this process serves."""
    return {"status": "ok"}
