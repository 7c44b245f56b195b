"""/v1/tasks/batch: many submissions in one request, each with an outcome of its own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from quart import Blueprint, Response, request

from taskyard.api import strict_json
from taskyard.api.errors import describe
from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body, raw_body
from taskyard.api.views import BatchItem, BatchView
from taskyard.core.errors import Fault, InvalidRequest, PayloadTooLarge, TaskyardError
from taskyard.core.task import Accepted, NewTask
from taskyard.services.dispatch import HOLD
from taskyard.services.submit import Submission, prepare

MOST_ITEMS = 10_000
_MOST_FORWARDED = 200  # larger batches are left to the dispatcher, in the order of urgency
_NDJSON = ("application/x-ndjson", "application/jsonl")


def batch_blueprint(parts: Parts) -> Blueprint:
    """Serve batches."""
    blueprint = Blueprint("batch", __name__)

    @blueprint.post("/v1/tasks/batch")
    async def submit_batch() -> Response:
        items = await _items()
        small = len(items) <= _MOST_FORWARDED
        hold = HOLD if small and parts.fresh.takes_more else 0.0
        prepared = list(_prepare(parts, items, hold))
        wanted = [each for each in prepared if isinstance(each, NewTask)]
        stored = await parts.intake.store_batch(wanted)
        outcomes = dict(zip((new.id for new in wanted), stored, strict=True))
        accepted = sum(isinstance(outcome, Accepted) for outcome in stored)
        final = [outcomes[each.id] if isinstance(each, NewTask) else each for each in prepared]
        items = [
            BatchItem(id=str(each.id))
            if isinstance(each, Accepted)
            else BatchItem(error=describe(each))
            for each in final
        ]
        rejected = len(final) - accepted
        return respond(BatchView(accepted=accepted, rejected=rejected, items=items), 202)

    return blueprint


async def _items() -> list[Any]:
    """Return the decoded items; what stands for one that could not be decoded is its error."""
    if request.mimetype in _NDJSON:
        items = list(strict_json.decode_lines(await raw_body()))
    else:
        body = await json_body()
        if not isinstance(body, dict) or not isinstance(body.get("tasks"), list):
            raise InvalidRequest(
                "the body must be an object with the tasks in a list",
                faults=(Fault("/tasks", 'is required: {"tasks": [{"type": …, "args": …}, …]}'),),
            )
        if unknown := set(body) - {"tasks"}:
            raise InvalidRequest(
                "the request has invalid fields",
                faults=tuple(Fault(f"/{name}", "is not a known field") for name in sorted(unknown)),
            )
        items = body["tasks"]
    if not items:
        raise InvalidRequest("the batch is empty", faults=(Fault("/tasks", "has no items"),))
    if len(items) > MOST_ITEMS:
        raise PayloadTooLarge(f"the batch has {len(items)} tasks; at most {MOST_ITEMS} are allowed")
    return items


def _prepare(parts: Parts, items: list[Any], hold: float) -> Iterator[NewTask | TaskyardError]:
    now = datetime.now(UTC)
    for item in items:
        if isinstance(item, TaskyardError):
            yield item
            continue
        try:
            wish = convert(item, Submission)
            new, _ = prepare(wish, table=parts.table, catalog=parts.catalog, now=now, hold=hold)
        except TaskyardError as error:
            yield error
        else:
            yield new
