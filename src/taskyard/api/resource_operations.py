"""The operations on resources."""

from taskyard.api.operation import AWAY, Operation
from taskyard.api.resource_views import ResourceList
from taskyard.core.principal import Scope

RESOURCE_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/resources",
        scope=Scope.READ,
        tag="Yard",
        summary="List the resources",
        description="Budgets that task types share over all pools: the whole, what of it may be "
        "used now, what runs, what started within the period of the rate, and who waits.",
        answer=ResourceList,
        refusals=AWAY,
    ),
)
