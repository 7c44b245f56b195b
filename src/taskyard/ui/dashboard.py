"""The dashboard: its pages within their frame."""

from collections.abc import Mapping

from quart import Blueprint

from taskyard.core.errors import TaskyardError
from taskyard.ui.charts_page import serve_charts
from taskyard.ui.frame import framed_blueprint
from taskyard.ui.many_tasks import serve_many_tasks
from taskyard.ui.pools_page import serve_pools
from taskyard.ui.sessions import BrowserSessions
from taskyard.ui.task_page import serve_task
from taskyard.ui.tasks_page import serve_tasks
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
    return blueprint
