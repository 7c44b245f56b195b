"""Who asks, for which tenant, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from taskyard.core import topics

TenantId = NewType("TenantId", str)

DEFAULT_TENANT = TenantId("default")


class Scope(StrEnum):
    """What a principal may do. `admin` includes all others."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    REPLAY = "replay"
    ADMIN = "admin"


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
