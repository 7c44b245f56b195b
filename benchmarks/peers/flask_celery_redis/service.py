"""The service most teams write first: Flask takes the request, `.delay()` puts it into Redis.

The interface is the part of Taskyard's that the measurements use, so that both get the same load.
"""

from typing import Any

import tally
from flask import Flask, Response, jsonify, request
from tasks import noop

app = Flask(__name__)

Reply = tuple[Response, int] | tuple[Response, int, dict[str, str]]


@app.post("/v1/tasks")
def submit() -> Reply:
    """Accept one task."""
    wish = request.get_json(silent=True)
    if (problem := fault(wish)) is not None:
        return jsonify(error=problem), 422
    result = noop.delay(**wish["args"])
    tally.taken.add()
    return jsonify(id=result.id, state="PENDING"), 202, {"Location": f"/v1/tasks/{result.id}"}


@app.post("/v1/tasks/batch")
def submit_batch() -> Reply:
    """Accept many tasks, all over one connection to the broker."""
    wishes = (request.get_json(silent=True) or {}).get("tasks")
    if not isinstance(wishes, list):
        return jsonify(error="tasks must be a list"), 422
    items: list[dict[str, str]] = []
    with noop.app.producer_or_acquire() as producer:
        for wish in wishes:
            if (problem := fault(wish)) is not None:
                items.append({"error": problem})
            else:
                items.append({"id": noop.apply_async(kwargs=wish["args"], producer=producer).id})
    accepted = sum("id" in item for item in items)
    tally.taken.add(accepted)
    return jsonify(accepted=accepted, rejected=len(items) - accepted, items=items), 202


@app.get("/v1/tasks/<task>")
def show(task: str) -> Reply:
    """Show a task's state, and its result once there is one."""
    result = noop.AsyncResult(task)
    state = result.state
    return jsonify(id=task, state=state, result=result.result if state == "SUCCESS" else None), 200


@app.get("/livez")
def livez() -> Reply:
    """Say that this process serves."""
    return jsonify(status="ok"), 200


def fault(wish: Any) -> str | None:
    """Return what is wrong with a submission, or None."""
    if not isinstance(wish, dict) or wish.get("type") != "bench.noop":
        return "type must be bench.noop"
    args = wish.get("args")
    if not isinstance(args, dict) or not {"n"} <= set(args) <= {"n", "data"}:
        return "args must be an object with n, and data if need be"
    if not isinstance(args["n"], int) or not isinstance(args.get("data", ""), str):
        return "n must be a whole number, data a text"
    return None
