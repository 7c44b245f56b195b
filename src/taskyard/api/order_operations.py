"""The operations on the order of what waits."""

from taskyard.api import views
from taskyard.api.operation import AWAY, JSON, NO_TASK, UNREADABLE, Operation
from taskyard.core.principal import Scope
from taskyard.services.reprioritise import ReprioritiseRequest

SCHEMAS = (ReprioritiseRequest,)

ORDER_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/tasks/{task}/reprioritise",
        scope=Scope.SUBMIT,
        tag="Tasks",
        summary="Give a task that waits another priority",
        description="Of a task that is scheduled, pending, queued or retrying. The wake-up of a "
        "queued one is in the broker already: it is sent again with the new priority, so it can "
        "become more urgent, but hardly less.",
        body={JSON: ReprioritiseRequest},
        example={"priority": 9},
        answer=views.TaskView,
        refusals={
            **UNREADABLE,
            **NO_TASK,
            409: ("too-late", "already-started"),
            422: ("invalid-request",),
            **AWAY,
        },
    ),
)
