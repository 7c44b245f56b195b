"""POST /v1/tasks: submit one task."""

from dataclasses import replace
from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.caller import caller, own, require_type
from taskyard.api.parts import Parts
from taskyard.api.prefer import Preference, preferred
from taskyard.api.quotas import NOT_STORED, admit, give_back
from taskyard.api.render import REPLAYED, accepted_view, repeated_view, respond, task_view
from taskyard.api.request import convert, idempotency_key, json_body
from taskyard.api.views import AcceptedView
from taskyard.core.errors import Refused
from taskyard.core.idempotency import KeyedRequest
from taskyard.core.task import Accepted, NewTask, Repeated, Task
from taskyard.services.fresh import HOLD
from taskyard.services.idempotency import first_replies, keyed_request, with_key
from taskyard.services.submit import Submission, prepare
from taskyard.services.waiting import at_its_end, within


def submit_blueprint(parts: Parts) -> Blueprint:
    """Serve submissions."""
    blueprint = Blueprint("submit", __name__)

    @blueprint.post("/v1/tasks")
    async def submit() -> Response:
        key, prefers = idempotency_key(), preferred()
        wish = convert(await json_body(), Submission)
        require_type(wish.type)
        return await _accept(parts, wish, keyed_request(wish, key) if key else None, prefers)

    return blueprint


async def _accept(
    parts: Parts, wish: Submission, keyed: KeyedRequest | None, prefers: Preference
) -> Response:
    hold = HOLD if parts.fresh.takes_more else 0.0
    now = datetime.now(UTC)
    try:
        new, route = prepare(
            wish, tenant=caller().tenant, table=parts.table, catalog=parts.catalog, now=now,
            hold=hold, webhooks=parts.webhooks,
        )  # fmt: skip
        await admit(parts, new)
    except Refused:
        first = await first_replies(own(parts), [keyed] if keyed else [])
        if keyed not in first:
            raise
        return await _repeat(parts, wish, first[keyed], prefers)
    if keyed:
        new = with_key(new, keyed, retention=route.defaults.retention)
    if not prefers.wait:
        accepted, ended = await _stored(parts, new), None
    else:
        with parts.waiting.expect(new.id) as ending:
            accepted = await _stored(parts, replace(new, watched=True))
            known = not isinstance(accepted, Repeated)
            ended = await within(prefers.wait, ending) if known else None
    if isinstance(accepted, Repeated):
        give_back(parts, 1)
        return await _repeat(parts, wish, accepted, prefers)
    return _respond(accepted_view(new, accepted), ended, prefers.headers)


async def _stored(parts: Parts, new: NewTask) -> Accepted:
    try:
        return await parts.intake.store(new)
    except NOT_STORED:
        give_back(parts, 1)
        raise


async def _repeat(parts: Parts, wish: Submission, first: Repeated, prefers: Preference) -> Response:
    """Answer with the first task under the same key: once it has ended, if that is waited for."""
    found = None
    if prefers.wait:
        found = await at_its_end(own(parts), parts.waiting, first.id, seconds=prefers.wait)
    ended = found if found and found.finished_at else None
    return _respond(repeated_view(wish.type, first), ended, {**REPLAYED, **prefers.headers})


def _respond(view: AcceptedView, ended: Task | None, headers: dict[str, str]) -> Response:
    headers = {"Location": view.links["self"], **headers}
    if ended is None:
        return respond(view, 202, headers)
    return respond(task_view(ended), 200, headers)
