"""The operations on sessions."""

from taskyard.api.operation import AWAY, CURSOR, LIMIT, SOUGHT, Operation
from taskyard.api.session_views import SessionPage
from taskyard.core.principal import Scope

SESSION_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/sessions",
        scope=Scope.READ,
        tag="Sessions",
        summary="List the browsers in which somebody is logged in",
        description="Admins that are not limited to some task types see those of their tenant, "
        "all others their own.",
        query=(
            ("principal", SOUGHT, "Only theirs, such as `key:tk_3f9a…`."),
            LIMIT,
            CURSOR,
        ),
        answer=SessionPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="delete",
        path="/v1/sessions/{session}",
        scope=Scope.READ,
        tag="Sessions",
        summary="End a session",
        description="Of those that the caller may list. Within two seconds no process lets its "
        "browser in.",
        status=204,
        refusals={404: ("session-not-found",), **AWAY},
    ),
)
