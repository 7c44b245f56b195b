"""Sessions: in which a person is logged in with a browser."""

from dataclasses import dataclass
from datetime import timedelta
from typing import NewType
from uuid import UUID

from taskyard.core.principal import TenantId

SessionId = NewType("SessionId", UUID)

IDLE = timedelta(hours=1)  # without a request, then it ends
LONGEST = timedelta(hours=12)  # after which it ends whatever happens
MOST = 100  # of one principal; the oldest make room


@dataclass(frozen=True, slots=True)
class ByKey:
    """They logged in with the API key of this prefix: the session ends with it."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ByIssuer:
    """They logged in at this issuer: the session ends when nobody logs in there any more."""

    issuer: str


Way = ByKey | ByIssuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Which sessions are meant; None does not matter."""

    tenant: TenantId | None = None
    principal: str | None = None
    id: SessionId | None = None
