"""The operations on many tasks at once."""

from taskyard.api import many_task_views
from taskyard.api.operation import AWAY, FULL, JSON, UNREADABLE, Operation
from taskyard.core.principal import Scope
from taskyard.services.cancel_many import CancelManyRequest
from taskyard.services.replay_tasks import ReplayTasksRequest
from taskyard.services.reprioritise_many import ReprioritiseManyRequest

_WHICH = (
    "The tasks are found once, the oldest first, up to `limit`; every 200 are a transaction of "
    "their own, and after 20 s it stops and says how many are `left`. Sent again, it does the "
    "rest. A dry run (200) only counts, exactly up to `limit`. An empty filter needs `all`."
)

MANY_TASK_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/tasks/cancel",
        scope=Scope.CANCEL,
        tag="Tasks",
        summary="Cancel many tasks",
        description=f"Those that match and have not ended. {_WHICH}",
        body={JSON: CancelManyRequest},
        example={"filter": {"type": "image.thumbnail", "labels": {"team": "web"}}},
        status=202,
        also=(200,),
        answer=many_task_views.CancelManyView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/reprioritise",
        scope=Scope.SUBMIT,
        tag="Tasks",
        summary="Give many tasks that wait another priority",
        description=f"Those that match, wait, and have another priority. {_WHICH}",
        body={JSON: ReprioritiseManyRequest},
        example={"filter": {"type": "image.thumbnail"}, "priority": 9},
        status=202,
        also=(200,),
        answer=many_task_views.ReprioritiseManyView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/replay",
        scope=Scope.REPLAY,
        tag="Tasks",
        summary="Replay many tasks",
        description="Those that match and failed, expired, were quarantined or cancelled. Each is "
        "checked like a submission of today; what is refused stays, with a sentence why. They "
        "become due `rate` a second. Without room for more in the backlog or a quota it stops. "
        f"{_WHICH}",
        body={JSON: ReplayTasksRequest},
        example={"filter": {"error": "connection timed out"}, "rate": 50},
        status=202,
        also=(200,),
        answer=many_task_views.ReplayTasksView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **FULL},
    ),
)
