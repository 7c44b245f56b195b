"""/v1/tasks/batch: many submissions in one request, each with an outcome of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from quart import Blueprint, Response, request

from taskyard import strict_json
from taskyard.api.body import raw_body
from taskyard.api.caller import caller, own, require_type
from taskyard.api.errors import describe
from taskyard.api.parts import Parts
from taskyard.api.quotas import NOT_STORED, admit_many, give_back
from taskyard.api.render import REPLAYED, respond
from taskyard.api.request import convert, idempotency_key, json_body
from taskyard.api.views import BatchItem, BatchSubmission, BatchView
from taskyard.core.errors import Fault, InvalidRequest, PayloadTooLarge, TaskyardError
from taskyard.core.idempotency import (
    LONGEST_BATCH_KEY,
    IdempotencyKey,
    KeyedRequest,
    read_key,
)
from taskyard.core.task import Accepted, NewTask, Repeated
from taskyard.services.fresh import HOLD
from taskyard.services.idempotency import first_replies, keyed_request, with_key
from taskyard.services.intake import Stored
from taskyard.services.submit import prepare

MOST_ITEMS = 10_000
_MOST_FORWARDED = 200  # larger batches are left to the dispatcher, in the order of urgency
_NDJSON = ("application/x-ndjson", "application/jsonl")


def batch_blueprint(parts: Parts) -> Blueprint:
    """Serve batches."""
    blueprint = Blueprint("batch", __name__)

    @blueprint.post("/v1/tasks/batch")
    async def submit_batch() -> Response:
        whole = idempotency_key(longest=LONGEST_BATCH_KEY)
        items = await _items()
        small = len(items) <= _MOST_FORWARDED
        hold = HOLD if small and parts.fresh.takes_more else 0.0
        now = datetime.now(UTC)
        prepared = [
            _prepare(parts, item, whole and whole.of_item(index), now=now, hold=hold)
            for index, item in enumerate(items)
        ]
        return _answer(await _outcomes(parts, await _admitted(parts, prepared)))

    return blueprint


@dataclass(frozen=True, slots=True)
class _Prepared:
    """One item, checked: the row to store, or why there is none, and the key it came with."""

    outcome: NewTask | TaskyardError
    keyed: KeyedRequest | None = None


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


def _prepare(
    parts: Parts, item: Any, derived: IdempotencyKey | None, *, now: datetime, hold: float
) -> _Prepared:
    if isinstance(item, TaskyardError):
        return _Prepared(item)
    keyed = None
    try:
        wish = convert(item, BatchSubmission)
        require_type(wish.type)
        key = _own_key(wish) or derived
        keyed = keyed_request(wish, key) if key else None
        new, route = prepare(
            wish, tenant=caller().tenant, table=parts.table, catalog=parts.catalog, now=now,
            hold=hold, webhooks=parts.webhooks,
        )  # fmt: skip
    except TaskyardError as error:
        return _Prepared(error, keyed)
    if keyed:
        new = with_key(new, keyed, retention=route.defaults.retention)
    return _Prepared(new, keyed)


def _own_key(wish: BatchSubmission) -> IdempotencyKey | None:
    if wish.idempotency_key is None:
        return None
    try:
        return read_key(wish.idempotency_key, tenant=caller().tenant)
    except ValueError as error:
        fault = Fault("/idempotency_key", str(error))
        raise InvalidRequest("the request has invalid fields", faults=(fault,)) from None


async def _admitted(parts: Parts, items: Sequence[_Prepared]) -> list[_Prepared]:
    """Let through what the tenant may submit, the first items first."""
    new = [item.outcome for item in items if isinstance(item.outcome, NewTask)]
    admission = await admit_many(parts, new)
    if admission.refusal is None:
        return [*items]
    left, admitted = admission.granted, []
    for item in items:
        if isinstance(item.outcome, NewTask):
            left -= 1
        refused = isinstance(item.outcome, NewTask) and left < 0
        admitted.append(replace(item, outcome=admission.refusal) if refused else item)
    return admitted


async def _outcomes(parts: Parts, items: Sequence[_Prepared]) -> list[Stored]:
    """Store what can be; what is refused now may have been accepted before."""
    new = [item.outcome for item in items if isinstance(item.outcome, NewTask)]
    refused = [i.keyed for i in items if i.keyed and isinstance(i.outcome, TaskyardError)]
    first = await first_replies(own(parts), refused)
    try:
        results = await parts.intake.store_batch(new)
    except NOT_STORED:
        give_back(parts, len(new))
        raise
    give_back(parts, sum(isinstance(each, (Repeated, *NOT_STORED)) for each in results))
    stored = iter(results)
    outcomes: list[Stored] = []
    for item in items:
        if isinstance(item.outcome, NewTask):
            outcomes.append(next(stored))
        else:
            outcomes.append(first.get(item.keyed, item.outcome) if item.keyed else item.outcome)
    return outcomes


def _answer(outcomes: Sequence[Stored]) -> Response:
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    items = [
        BatchItem(id=str(each.id))
        if isinstance(each, Accepted)
        else BatchItem(error=describe(each))
        for each in outcomes
    ]
    rejected = len(outcomes) - len(accepted)
    view = BatchView(accepted=len(accepted), rejected=rejected, items=items)
    repeated = accepted and all(isinstance(each, Repeated) for each in accepted)
    return respond(view, 202, REPLAYED if repeated else None)
