"""The operations on pools and workers."""

from taskyard.api.operation import AWAY, JSON, UNREADABLE, Operation
from taskyard.api.pool_views import PoolList, PoolWhole, WorkerView
from taskyard.core.principal import Scope
from taskyard.services.pause import PauseRequest

_NO_POOL = {404: ("pool-not-found",)}

POOL_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/pools",
        scope=Scope.READ,
        tag="Yard",
        summary="List the pools",
        description="What waits in each queue, who consumes it and what runs.",
        answer=PoolList,
        refusals=AWAY,
    ),
    Operation(
        method="get",
        path="/v1/pools/{pool}",
        scope=Scope.READ,
        tag="Yard",
        summary="Read a pool",
        description="With its workers, and which of the caller's tasks run there.",
        answer=PoolWhole,
        refusals={**_NO_POOL, **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/pools/{pool}/pause",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag="Yard",
        summary="Pause a pool",
        description="From the answer on nothing of it is begun, whoever's it is, until it is "
        "resumed: not what waits, nor what lies in the broker. What runs goes on, and tasks are "
        "accepted as before. It lasts over every restart. A pool that is paused already stays so, "
        "with its date and reason. The body may be left out.",
        body={JSON: PauseRequest},
        example={"reason": "the printer is being moved"},
        body_required=False,
        answer=PoolWhole,
        refusals={**UNREADABLE, **_NO_POOL, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/pools/{pool}/resume",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag="Yard",
        summary="Resume a pool",
        description="What waits is begun, in its order. A pool that is not paused stays as it is.",
        answer=PoolWhole,
        refusals={**_NO_POOL, **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/workers/{worker}/drain",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag="Yard",
        summary="Drain a worker",
        description="It takes nothing more, ends what it runs within the `drain` of its pool, "
        "gives back the rest and leaves, as after SIGTERM. What supervises it may start another in "
        "its place, under another name. Workers are listed with their pool.",
        status=202,
        answer=WorkerView,
        refusals={404: ("worker-not-found",), **AWAY},
    ),
)
