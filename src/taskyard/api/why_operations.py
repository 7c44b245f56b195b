"""The operation that says why a task is not running."""

from taskyard.api.operation import AWAY, NO_TASK, Operation
from taskyard.api.why_views import WhyView
from taskyard.core.principal import Scope

WHY_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/tasks/{task}/why",
        scope=Scope.READ,
        tag="Tasks",
        summary="Say why a task is not running",
        description="One code and one sentence: what it waits for, what it does, or how it ended. "
        "Database and broker are asked at this moment.",
        answer=WhyView,
        refusals={**NO_TASK, **AWAY},
    ),
)
