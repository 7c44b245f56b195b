"""/v1/tasks/{id}/why: what keeps a task from running."""

from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.request import task_id
from taskyard.api.why_views import WhyView
from taskyard.core.errors import TaskNotFound
from taskyard.core.retention import why_absent
from taskyard.services.why import Yard, why_not_running


def why_blueprint(parts: Parts) -> Blueprint:
    """Serve the answer to the question of whoever waits."""
    blueprint = Blueprint("why", __name__)
    yard = Yard(
        table=parts.table,
        amqp_url=parts.amqp_url,
        prefix=parts.prefix,
        publisher=parts.publisher,
    )

    @blueprint.get("/v1/tasks/<task>/why")
    async def why(task: str) -> Response:
        wanted = task_id(task)
        try:
            found = await why_not_running(own(parts), wanted, yard)
        except TaskNotFound:
            raise why_absent(wanted, table=parts.table, now=datetime.now(UTC)) from None
        return respond(
            WhyView(
                id=str(wanted),
                code=found.code,
                sentence=found.sentence,
                advice=found.advice,
                since=found.since,
                until=found.until,
                ahead=found.ahead,
            )
        )

    return blueprint
