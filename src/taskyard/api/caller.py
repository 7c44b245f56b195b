"""On whose behalf a request is served."""

from typing import cast

from quart import g

from taskyard.api.parts import Parts
from taskyard.core.errors import Forbidden
from taskyard.core.principal import Principal
from taskyard.storage.pool import OwnPool


def caller() -> Principal:
    """Return who asks; api/auth.py has let them in."""
    return cast("Principal", g.principal)


def own(parts: Parts) -> OwnPool:
    """Return the pool that sees the caller's rows and no others."""
    return OwnPool(parts.pool, caller().owner, caller().name)


def require_type(task_type: str) -> None:
    """Raise Forbidden unless the caller may touch tasks of a type."""
    if not caller().may_touch(task_type):
        allowed = ", ".join(caller().patterns)
        raise Forbidden(f"{task_type[:200]!r} is not among your task types: {allowed}")
