"""The dashboard: pages for people, behind a login."""

from taskyard.ui.cookies import SessionCookies
from taskyard.ui.dashboard import dashboard_blueprint
from taskyard.ui.pages import Doors, pages_blueprint
from taskyard.ui.sessions import BrowserSessions
from taskyard.ui.yard import Yard

__all__ = [
    "BrowserSessions",
    "Doors",
    "SessionCookies",
    "Yard",
    "dashboard_blueprint",
    "pages_blueprint",
]
