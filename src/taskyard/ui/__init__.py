"""The dashboard: pages for people, behind a login."""

from taskyard.ui.cookies import SessionCookies
from taskyard.ui.pages import Doors, pages_blueprint
from taskyard.ui.sessions import BrowserSessions

__all__ = ["BrowserSessions", "Doors", "SessionCookies", "pages_blueprint"]
