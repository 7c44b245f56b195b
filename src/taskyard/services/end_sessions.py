"""End sessions of others, or one's own elsewhere: each with an entry in the audit log."""

from taskyard.core.audit import Action
from taskyard.core.session import Whose
from taskyard.services import audit
from taskyard.storage import sessions
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sessions import EndedSession


async def end_sessions(
    connection: AsyncConnection, whose: Whose, *, actor: str
) -> list[EndedSession]:
    """End the sessions that are meant; return them. Within two seconds no process knows them."""
    async with connection.transaction():
        ended = await sessions.end_all(connection, whose)
        # In one order: two who end sessions of several tenants must not wait for each other.
        for each in sorted(ended, key=lambda each: (each.tenant, each.id)):
            await record_end(connection, each, actor=actor, because="ended")
    return ended


async def record_end(
    connection: AsyncConnection, ended: EndedSession, *, actor: str, because: str
) -> None:
    """Record that a session was ended, in the transaction that does it, and why."""
    detail = {"because": because, "principal": ended.principal}
    await audit.record_as(
        connection, Action.SESSION_ENDED, f"session:{ended.id}", detail,
        tenant=ended.tenant, actor=actor,
    )  # fmt: skip
