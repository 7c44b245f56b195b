"""A client of the REST interface, for ordinary code and for asyncio. It knows HTTP only.

    with Client("http://127.0.0.1:8000") as client:
        task = client.submit_and_wait("image.thumbnail", {"source": "inputs/coffee.png"})
        print(task.result)

What is decided is decided once, without a wire: operations.py says what is sent and what comes
back, repeats.py when it is sent again, dialogs.py what takes several requests, following.py how a
stream goes on. sync.py and aio.py carry it out; events.py, many.py and webhooks.py have a class for
each.

The clients are loaded when they are first used: httpx takes longer than all the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from taskyard.client.documents import (
    ENDED,
    Accepted,
    Attempt,
    AttemptList,
    Batch,
    BatchItem,
    Change,
    Fault,
    History,
    Problem,
    Progress,
    ReasonGroup,
    ReasonGroupList,
    Receipt,
    ReplayRefusal,
    ReplayReport,
    Task,
    TaskError,
    TaskPage,
    Why,
)
from taskyard.client.errors import ClientError, TaskyardProblem, Timeout, Unreachable
from taskyard.client.event_documents import (
    EventReceipt,
    EventReceiptList,
    EventReplayReport,
    EventTask,
    LoggedEvent,
    LoggedEventPage,
    ParkedEvent,
    ParkedPage,
    ParkedProblem,
    ParkedReplayReport,
)
from taskyard.client.many_documents import (
    ManyCancelled,
    ManyReplayed,
    ManyReport,
    ManyReprioritised,
)
from taskyard.client.stream_documents import Gap, LogLine, News, TaskChange, TaskLog
from taskyard.client.webhook_documents import (
    Delivery,
    DeliveryPage,
    Webhook,
    WebhookList,
    WebhookWithSecret,
)
from taskyard.client.yard_documents import (
    Explanation,
    Pool,
    PoolList,
    PoolWhole,
    ResourceList,
    TaskType,
    TaskTypeList,
)

if TYPE_CHECKING:
    from taskyard.client.aio import AsyncClient as AsyncClient
    from taskyard.client.sync import Client as Client

__all__ = [
    "ENDED",
    "Accepted",
    "AsyncClient",
    "Attempt",
    "AttemptList",
    "Batch",
    "BatchItem",
    "Change",
    "Client",
    "ClientError",
    "Delivery",
    "DeliveryPage",
    "EventReceipt",
    "EventReceiptList",
    "EventReplayReport",
    "EventTask",
    "Explanation",
    "Fault",
    "Gap",
    "History",
    "LogLine",
    "LoggedEvent",
    "LoggedEventPage",
    "ManyCancelled",
    "ManyReplayed",
    "ManyReport",
    "ManyReprioritised",
    "News",
    "ParkedEvent",
    "ParkedPage",
    "ParkedProblem",
    "ParkedReplayReport",
    "Pool",
    "PoolList",
    "PoolWhole",
    "Problem",
    "Progress",
    "ReasonGroup",
    "ReasonGroupList",
    "Receipt",
    "ReplayRefusal",
    "ReplayReport",
    "ResourceList",
    "Task",
    "TaskChange",
    "TaskError",
    "TaskLog",
    "TaskPage",
    "TaskType",
    "TaskTypeList",
    "TaskyardProblem",
    "Timeout",
    "Unreachable",
    "Webhook",
    "WebhookList",
    "WebhookWithSecret",
    "Why",
]

_HOMES = {"AsyncClient": "taskyard.client.aio", "Client": "taskyard.client.sync"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'taskyard.client' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
