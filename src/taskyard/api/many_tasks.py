"""What is done to many tasks at once: cancel, reprioritise, replay."""

from datetime import UTC, datetime

from quart import Blueprint, Response

from taskyard.api.caller import own
from taskyard.api.errors import come_again
from taskyard.api.many_task_views import (
    cancel_many_view,
    replay_tasks_view,
    reprioritise_many_view,
)
from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.request import convert, json_body
from taskyard.services.cancel_many import CancelManyRequest, cancel_many
from taskyard.services.replay_each import Today
from taskyard.services.replay_tasks import ReplayTasksRequest, replay_tasks
from taskyard.services.reprioritise_many import ReprioritiseManyRequest, reprioritise_many


def many_tasks_blueprint(parts: Parts) -> Blueprint:
    """Serve what is done to many tasks at once."""
    blueprint = Blueprint("many_tasks", __name__)

    @blueprint.post("/v1/tasks/cancel")
    async def cancel() -> Response:
        wish = convert(await json_body(), CancelManyRequest)
        report = await cancel_many(own(parts), wish.filter.search(), wish)
        return respond(cancel_many_view(wish, report), _status(wish.dry_run))

    @blueprint.post("/v1/tasks/reprioritise")
    async def reprioritise() -> Response:
        wish = convert(await json_body(), ReprioritiseManyRequest)
        report = await reprioritise_many(
            own(parts), wish.filter.search(), wish, publisher=parts.publisher
        )
        return respond(reprioritise_many_view(wish, report), _status(wish.dry_run))

    @blueprint.post("/v1/tasks/replay")
    async def replay() -> Response:
        wish = convert(await json_body(), ReplayTasksRequest)
        today = Today(
            table=parts.table, catalog=parts.catalog, entry=parts.entry, now=datetime.now(UTC)
        )
        report, meant = await replay_tasks(own(parts), wish.filter.search(), wish, today=today)
        view = replay_tasks_view(wish, report, meant)
        return respond(view, _status(wish.dry_run), come_again(report.stopped))

    return blueprint


def _status(dry_run: bool) -> int:
    return 200 if dry_run else 202
