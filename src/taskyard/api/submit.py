"""POST /v1/tasks: submit one task."""

from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.parts import Parts
from taskyard.api.render import REPLAYED, accepted_view, repeated_view, respond
from taskyard.api.request import convert, idempotency_key, json_body
from taskyard.api.views import AcceptedView
from taskyard.core.errors import Refused
from taskyard.core.idempotency import KeyedRequest
from taskyard.core.task import Repeated
from taskyard.services.dispatch import HOLD
from taskyard.services.idempotency import first_replies, keyed_request, with_key
from taskyard.services.submit import Submission, prepare


def submit_blueprint(parts: Parts) -> Blueprint:
    """Serve submissions."""
    blueprint = Blueprint("submit", __name__)

    @blueprint.post("/v1/tasks")
    async def submit() -> Response:
        key = idempotency_key()
        wish = convert(await json_body(), Submission)
        return await _accept(parts, wish, keyed_request(wish, key) if key else None)

    return blueprint


async def _accept(parts: Parts, wish: Submission, keyed: KeyedRequest | None) -> Response:
    hold = HOLD if parts.fresh.takes_more else 0.0
    now = datetime.now(UTC)
    try:
        new, route = prepare(wish, table=parts.table, catalog=parts.catalog, now=now, hold=hold)
    except Refused:
        first = await first_replies(parts.pool, [keyed] if keyed else [])
        if keyed not in first:
            raise
        return _respond(repeated_view(wish.type, first[keyed]), REPLAYED)
    if keyed:
        new = with_key(new, keyed, retention=route.defaults.retention)
    accepted = await parts.intake.store(new)
    if isinstance(accepted, Repeated):
        return _respond(repeated_view(wish.type, accepted), REPLAYED)
    return _respond(accepted_view(new, accepted), {})


def _respond(view: AcceptedView, headers: dict[str, str]) -> Response:
    return respond(view, 202, {"Location": view.links["self"], **headers})
