"""Who asks, for which tenant, and what they may do."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from taskyard.core import topics

TenantId = NewType("TenantId", str)

DEFAULT_TENANT = TenantId("default")
TENANT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Scope(StrEnum):
    """What a principal may do. `admin` includes all others."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    REPLAY = "replay"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose rows are meant: one tenant's, of the task types of some patterns (None: of all)."""

    tenant: TenantId
    patterns: tuple[str, ...] | None = None

    def owns(self, tenant: TenantId, task_type: str) -> bool:
        """Return whether a task of a tenant is meant."""
        return tenant == self.tenant and (
            self.patterns is None or any(topics.matches(p, task_type) for p in self.patterns)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller who has shown who they are.

    `name` says how, such as `key:tk_3f9a…` or `oidc:https://id.example/#billing`: it is what the
    audit log shows. `patterns` are topic patterns over the task types it may see and touch.
    """

    tenant: TenantId
    name: str
    scopes: frozenset[Scope]
    patterns: tuple[str, ...] = ("#",)

    @property
    def owner(self) -> Owner:
        """Whose rows it may see and touch."""
        return Owner(self.tenant, None if "#" in self.patterns else self.patterns)

    def may(self, scope: Scope) -> bool:
        """Return whether the scope, or `admin`, was granted."""
        return scope in self.scopes or Scope.ADMIN in self.scopes

    def may_touch(self, task_type: str) -> bool:
        """Return whether tasks of a type are within its patterns."""
        return any(topics.matches(pattern, task_type) for pattern in self.patterns)


def scopes(names: Iterable[str]) -> frozenset[Scope]:
    """Return the scopes of these names. Raises ValueError for a name that is none."""
    try:
        return frozenset(Scope(name) for name in names)
    except ValueError as error:
        known = ", ".join(Scope)
        raise ValueError(f"{error}; the scopes are {known}") from None
