"""The dashboard: its pages within their frame."""

from collections.abc import Mapping

from quart import Blueprint

from taskyard.core.errors import TaskyardError
from taskyard.ui.charts_page import serve_charts
from taskyard.ui.dead_letters_page import serve_dead_letters
from taskyard.ui.events_page import serve_events
from taskyard.ui.frame import framed_blueprint
from taskyard.ui.many_tasks import serve_many_tasks
from taskyard.ui.parked_page import serve_parked
from taskyard.ui.pools_page import serve_pools
from taskyard.ui.sessions import BrowserSessions
from taskyard.ui.task_page import serve_task
from taskyard.ui.tasks_page import serve_tasks
from taskyard.ui.try_event_page import serve_try_event
from taskyard.ui.webhooks_page import serve_webhooks
from taskyard.ui.yard import Yard
from taskyard.ui.yard_page import serve_yard


def dashboard_blueprint(
    yard: Yard, sessions: BrowserSessions, status: Mapping[type[TaskyardError], int]
) -> Blueprint:
    """Serve the dashboard; `status` is what the API answers an error with."""
    blueprint = framed_blueprint(sessions, status)
    serve_yard(blueprint, yard)
    serve_pools(blueprint, yard)
    serve_tasks(blueprint, yard)
    serve_many_tasks(blueprint, yard)
    serve_task(blueprint, yard)
    serve_charts(blueprint, yard)
    serve_dead_letters(blueprint, yard)
    serve_events(blueprint, yard)
    serve_parked(blueprint, yard)
    serve_try_event(blueprint, yard)
    serve_webhooks(blueprint, yard)
    return blueprint
