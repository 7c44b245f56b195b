"""The operation on the audit log."""

from taskyard.api.audit_views import AuditPage
from taskyard.api.operation import AWAY, CURSOR, LIMIT, SOUGHT, Operation
from taskyard.core.audit import Action
from taskyard.core.principal import Scope

AUDIT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/audit",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag="Audit",
        summary="List who did what, newest first",
        description="What was done to tasks, webhooks, events, keys and sessions of this tenant, "
        "and to its limits; submissions aside. Entries are never changed or removed, and each is "
        "chained to the one before: `taskyard audit verify` proves it.",
        query=(
            ("actor", SOUGHT, "Only by them, such as `key:tk_3f9a…`."),
            ("action", {"enum": list(Action)}, "Only this."),
            ("target", SOUGHT, "Only to this, such as `task:0198…`."),
            LIMIT,
            CURSOR,
        ),
        answer=AuditPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
)
