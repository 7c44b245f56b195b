"""Sessions of browsers, as operators see and end them: straight in the database."""

from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import operator
from taskyard.core.session import Whose
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.storage.sessions import EndedSession, SessionStatus


async def list_sessions(given: Settings, whose: Whose, *, limit: int) -> "list[SessionStatus]":
    """Return the latest open sessions, newest first."""
    from taskyard.storage import sessions
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="sessions") as connection:
        return await sessions.page(connection, whose, limit=limit)


async def end_sessions(given: Settings, whose: Whose) -> "list[EndedSession]":
    """End the sessions that are meant; return them."""
    from taskyard.services import end_sessions
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="sessions") as connection:
        return await end_sessions.end_sessions(
            connection, whose, actor=operator("taskyard sessions")
        )
