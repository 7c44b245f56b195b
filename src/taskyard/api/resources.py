"""/v1/resources: budgets that task types share."""

from quart import Blueprint, Response

from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.resource_views import BudgetView, ResourceList, ResourceView
from taskyard.core.limits import Limit
from taskyard.core.routing import RoutingTable
from taskyard.services.limits import ResourceStatus, survey_resources


def resources_blueprint(parts: Parts) -> Blueprint:
    """Serve resources."""
    blueprint = Blueprint("resources", __name__)

    @blueprint.get("/v1/resources")
    async def resources() -> Response:
        found = await survey_resources(parts.pool, parts.table)
        return respond(ResourceList(items=[_view(parts.table, each) for each in found]))

    return blueprint


def _view(table: RoutingTable, status: ResourceStatus) -> ResourceView:
    survey = status.survey
    return ResourceView(
        name=status.name,
        budget=_budget(status.budget),
        allowed=_budget(status.allowed),
        share=round(survey.standing.share_now, 3),
        paused_for=round(survey.standing.paused_for, 3),
        running=survey.running,
        started=survey.started,
        waiting=survey.waiting,
        reports=survey.reports,
        reported_at=survey.reported_at,
        types=[
            pattern for pattern, each in table.defaults.items() if status.name in each.resources
        ],
    )


def _budget(limit: Limit) -> BudgetView:
    rate = str(limit.rate) if limit.rate else None
    return BudgetView(concurrency=limit.concurrency, rate=rate)
