"""The order of what waits: reprioritise."""

from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.render import respond, task_view
from taskyard.api.request import convert, json_body, task_id
from taskyard.services.reprioritise import ReprioritiseRequest, reprioritise


def order_blueprint(parts: Parts) -> Blueprint:
    """Serve what changes the order of tasks that wait."""
    blueprint = Blueprint("order", __name__)

    @blueprint.post("/v1/tasks/<task>/reprioritise")
    async def reprioritise_task(task: str) -> Response:
        wanted = task_id(task)
        moved = await reprioritise(
            own(parts),
            wanted,
            convert(await json_body(), ReprioritiseRequest),
            publisher=parts.publisher,
            table=parts.table,
            now=datetime.now(UTC),
        )
        return respond(task_view(moved))

    return blueprint
