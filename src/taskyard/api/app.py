"""The application factory."""

from functools import partial

from quart import Quart

from taskyard.api.asyncapi import asyncapi_blueprint
from taskyard.api.audit import audit_blueprint
from taskyard.api.auth import register_auth
from taskyard.api.batch import batch_blueprint
from taskyard.api.body import bounded_request, limits
from taskyard.api.dead_letters import dead_letters_blueprint
from taskyard.api.docs import docs_blueprint
from taskyard.api.errors import register_errors
from taskyard.api.event_log import event_log_blueprint
from taskyard.api.events import events_blueprint
from taskyard.api.front import fronted
from taskyard.api.gate import Gate
from taskyard.api.headers import register_headers
from taskyard.api.health import health_blueprint
from taskyard.api.histories import histories_blueprint
from taskyard.api.many_tasks import many_tasks_blueprint
from taskyard.api.methods import register_options
from taskyard.api.metrics import metrics_blueprint, register_measuring, scraping_from
from taskyard.api.order import order_blueprint
from taskyard.api.parked_events import parked_events_blueprint
from taskyard.api.parts import Parts
from taskyard.api.pools import pools_blueprint
from taskyard.api.quotas import register_quotas
from taskyard.api.request_ids import register_request_ids
from taskyard.api.resources import resources_blueprint
from taskyard.api.sessions import sessions_blueprint
from taskyard.api.statistics import statistics_blueprint
from taskyard.api.streams import streams_blueprint
from taskyard.api.submit import submit_blueprint
from taskyard.api.tasks import tasks_blueprint
from taskyard.api.time_limit import TimedQuart
from taskyard.api.tracing import register_tracing
from taskyard.api.webhooks import webhooks_blueprint
from taskyard.api.why import why_blueprint
from taskyard.api.yard import yard_blueprint


def create_app(parts: Parts) -> Quart:
    """Return the HTTP application over open parts."""
    app = TimedQuart("taskyard.api", static_folder=None, template_folder="templates")
    app.request_class = bounded_request(limits(parts.table))
    gate = Gate(
        backlog=parts.intake.backlog,
        quotas=parts.quotas,
        table=parts.table,
        known=parts.known,
        answered=partial(parts.metrics.answered, "POST", "/v1/tasks", 503),
    )
    app.asgi_app = fronted(app.asgi_app, parts.pressure, parts.metrics.shed, gate)  # type: ignore[assignment, arg-type, method-assign]
    app.url_map.merge_slashes = False
    register_request_ids(app)
    register_tracing(app)
    register_measuring(app, parts.metrics)
    register_errors(app)
    register_headers(app)
    register_auth(
        app,
        parts.authenticator,
        parts.sessions,
        production=parts.production,
        may_scrape=scraping_from(parts.metrics_networks),
    )
    register_options(app)
    register_quotas(app, parts)
    for blueprint in (
        submit_blueprint(parts),
        tasks_blueprint(parts),
        many_tasks_blueprint(parts),
        order_blueprint(parts),
        why_blueprint(parts),
        histories_blueprint(parts),
        streams_blueprint(parts),
        batch_blueprint(parts),
        dead_letters_blueprint(parts),
        webhooks_blueprint(parts),
        events_blueprint(parts),
        event_log_blueprint(parts),
        parked_events_blueprint(parts),
        yard_blueprint(parts),
        pools_blueprint(parts),
        audit_blueprint(parts),
        sessions_blueprint(parts),
        resources_blueprint(parts),
        statistics_blueprint(parts),
        metrics_blueprint(parts),
        health_blueprint(parts),
        docs_blueprint(),
        asyncapi_blueprint(parts),
        *parts.pages,
    ):
        app.register_blueprint(blueprint)
    return app
