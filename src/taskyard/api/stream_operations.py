"""The operations that tell what tasks do and say, at once or as it happens."""

from taskyard.api import views
from taskyard.api.operation import AWAY, NO_TASK, REFERENCE, TEXT, Operation
from taskyard.api.stream_views import ChangeView, LogView
from taskyard.core.principal import Scope

_RESUME = (
    "Last-Event-ID",
    TEXT,
    "The id of the last event that was received: the stream goes on behind it.",
)

STREAM_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/tasks/{task}/events",
        scope=Scope.READ,
        tag="Tasks",
        summary="Read the history of a task, or follow it",
        description="Its events, numbered without a gap. With `Accept: text/event-stream` they are "
        "sent as they happen, together with progress and log, until the task ends: events named "
        "`change`, `progress` and `log`. 204 when the task has ended and all was received.",
        headers=(_RESUME,),
        answer=views.EventList,
        streams=views.EventView,
        refusals={**NO_TASK, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/tasks/{task}/log",
        scope=Scope.READ,
        tag="Tasks",
        summary="Read the log of a task",
        description="What its attempts said with `current.log`: the newest 100 lines.",
        answer=LogView,
        refusals={**NO_TASK, **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/stream",
        scope=Scope.READ,
        tag="Streams",
        summary="Follow the changes of all tasks",
        description="Server-sent events named `change`, as they happen. Each filter may be given "
        "several times: any of the types, pools and states, and all of the labels. With "
        "Last-Event-ID what was missed comes first; an event `gap` says that some of it is not "
        "kept any more. A reader that is too slow gets `dropped` with the reason. Where nothing "
        "happens a comment comes every 15 seconds.",
        query=(
            ("type", TEXT, "A task type, or a topic pattern such as `image.*`."),
            ("pool", TEXT, "A pool."),
            ("state", {"$ref": REFERENCE.format(name="State")}, "A state."),
            ("label", TEXT, "A label, written key:value."),
        ),
        headers=(_RESUME,),
        streams=ChangeView,
        refusals={422: ("invalid-request",), **AWAY},
    ),
)
