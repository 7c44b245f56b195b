"""What clients see of sessions."""

from datetime import datetime

import msgspec

from taskyard.storage.sessions import SessionStatus


class SessionView(msgspec.Struct, kw_only=True):
    """One browser in which somebody has logged in, by `key` or at `issuer`.

    `ends_at` is when it ends if nobody comes back.
    """

    id: str
    principal: str
    key: str | None
    issuer: str | None
    scopes: list[str]
    types: list[str]
    began_at: datetime
    seen_at: datetime
    ends_at: datetime
    links: dict[str, str]


class SessionPage(msgspec.Struct, kw_only=True):
    """Open sessions, newest first; `next_cursor` is null on the last page."""

    items: list[SessionView]
    next_cursor: str | None


SCHEMAS = (SessionPage,)


def session_view(session: SessionStatus) -> SessionView:
    """Return what is shown of a session: nothing that opens it."""
    return SessionView(
        id=str(session.id),
        principal=session.principal,
        key=None if session.key is None else f"tk_{session.key}",
        issuer=session.issuer,
        scopes=session.scopes,
        types=session.patterns,
        began_at=session.began_at,
        seen_at=session.seen_at,
        ends_at=session.ends_at,
        links={"self": f"/v1/sessions/{session.id}"},
    )
