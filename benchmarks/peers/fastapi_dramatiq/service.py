"""FastAPI in front of Dramatiq: handlers are plain functions, since Dramatiq's client blocks."""

import tally
from fastapi import FastAPI
from tasks import noop
from wishes import Accepted, AllAccepted, Wish, Wishes

app = FastAPI()


@app.post("/v1/tasks", status_code=202)
def submit(wish: Wish) -> Accepted:
    """Accept one task."""
    accepted = Accepted(id=noop.send(**wish.args.model_dump()).message_id)
    tally.taken.add()
    return accepted


@app.post("/v1/tasks/batch", status_code=202)
def submit_batch(wishes: Wishes) -> AllAccepted:
    """Accept many tasks."""
    ids = [noop.send(**wish.args.model_dump()).message_id for wish in wishes.tasks]
    tally.taken.add(len(ids))
    return AllAccepted(accepted=len(ids), items=[Accepted(id=each) for each in ids])


@app.get("/livez")
def livez() -> dict[str, str]:
    """Say that this process serves."""
    return {"status": "ok"}
