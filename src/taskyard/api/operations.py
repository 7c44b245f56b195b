"""Every operation of the API, described once."""

from taskyard.api import views
from taskyard.api.audit_operations import AUDIT_OPERATIONS
from taskyard.api.dead_letter_operations import DEAD_LETTER_OPERATIONS
from taskyard.api.event_operations import EVENT_OPERATIONS
from taskyard.api.many_task_operations import MANY_TASK_OPERATIONS
from taskyard.api.operation import (
    AWAY,
    CURSOR,
    JSON,
    LABEL,
    LIMIT,
    NO_TASK,
    REFERENCE,
    SOUGHT,
    TEXT,
    TIME,
    TRACE,
    UNREADABLE,
    WAIT,
    Operation,
)
from taskyard.api.order_operations import ORDER_OPERATIONS
from taskyard.api.pool_operations import POOL_OPERATIONS
from taskyard.api.resource_operations import RESOURCE_OPERATIONS
from taskyard.api.session_operations import SESSION_OPERATIONS
from taskyard.api.statistics_operations import STATISTICS_OPERATIONS
from taskyard.api.stream_operations import STREAM_OPERATIONS
from taskyard.api.webhook_operations import WEBHOOK_OPERATIONS
from taskyard.api.why_operations import WHY_OPERATIONS
from taskyard.core.principal import Scope
from taskyard.services.submit import Submission

IDEMPOTENCY_KEY = (
    "Idempotency-Key",
    {**TEXT, "minLength": 1, "examples": ['"5f1a7f0e-order-1042"']},
    "Makes it safe to send the request again: one key, one task. A string in quotes or bare, 1 to "
    "255 printable ASCII characters; for a batch at most 250.",
)
_PREFER = (
    "Prefer",
    {**TEXT, "examples": ["wait=10", "respond-async"]},
    "RFC 7240. `wait=N`: wait up to N seconds, at most 60, for the task to end. "
    "`respond-async`: do not wait. What was honoured is said in Preference-Applied.",
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/tasks",
        scope=Scope.SUBMIT,
        tag="Tasks",
        summary="Submit a task",
        description="The reply is sent after the task is committed: 202 means durable. With an "
        "Idempotency-Key it may be sent again: the same request gets the same reply, with the "
        "header `Idempotency-Replayed: true`; another request gets 422. With `Prefer: wait=N` the "
        "reply is 200 with the whole task if that ends in time.",
        headers=(IDEMPOTENCY_KEY, _PREFER, *TRACE),
        body={JSON: Submission},
        example={
            "type": "image.thumbnail",
            "args": {"source": "inputs/coffee.png", "width": 128},
            "priority": 7,
            "labels": {"team": "web"},
        },
        status=202,
        answer=views.AcceptedView,
        also=(200,),
        also_answer=views.TaskView,
        refusals={
            **UNREADABLE,
            404: ("unknown-task-type",),
            409: ("not-feasible",),
            422: ("invalid-request", "invalid-arguments", "idempotency-key-reused"),
            429: ("rate-limited", "quota-exceeded"),
            503: ("storage-unavailable", "overloaded", "backlog-full", "outcome-unknown"),
        },
    ),
    Operation(
        method="get",
        path="/v1/tasks",
        scope=Scope.READ,
        tag="Tasks",
        summary="List tasks, newest first",
        description="A page ends early where one more task would make it larger than 8 MiB of "
        "arguments, results and errors; `next_cursor` goes on from there.",
        query=(
            ("type", SOUGHT, "Only this task type."),
            ("state", {"$ref": REFERENCE.format(name="State")}, "Only this state."),
            ("pool", SOUGHT, "Only this pool."),
            LABEL,
            (
                "error",
                SOUGHT,
                "Only tasks whose error has all these words in its code or message, the last or "
                "its beginning. With encryption at rest, in its code alone.",
            ),
            ("created_after", TIME, "Only tasks created at or after this time."),
            ("created_before", TIME, "Only tasks created before this time."),
            LIMIT,
            CURSOR,
        ),
        answer=views.TaskPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/batch",
        scope=Scope.SUBMIT,
        tag="Tasks",
        summary="Submit up to 10,000 tasks",
        description="Each item has an outcome of its own, in order; a bad one spoils no other. "
        "NDJSON has one task on a line. An item may have an `idempotency_key`; with an "
        "Idempotency-Key header `K`, item number i, from 0, without one of its own has the key "
        "`K/i`. `Idempotency-Replayed: true` says that every accepted item was accepted before.",
        headers=(IDEMPOTENCY_KEY, *TRACE),
        body={JSON: views.Batch, "application/x-ndjson": TEXT},
        example={"tasks": [{"type": "table.summarize", "args": {"source": "inputs/airports.csv"}}]},
        status=202,
        answer=views.BatchView,
        refusals={
            **UNREADABLE,
            422: ("invalid-request",),
            503: ("storage-unavailable", "overloaded", "backlog-full"),
        },
    ),
    Operation(
        method="get",
        path="/v1/tasks/{task}",
        scope=Scope.READ,
        tag="Tasks",
        summary="Read a task",
        description="With `wait` the reply comes once the task has ended, or when the time is up, "
        "as it stands then. With If-None-Match it is 304 when nothing has changed.",
        query=(WAIT,),
        headers=(
            ("If-None-Match", TEXT, "The ETag of an earlier reply: 304 if it would be the same."),
        ),
        answer=views.TaskView,
        also=(304,),
        refusals={**NO_TASK, 422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/{task}/cancel",
        scope=Scope.CANCEL,
        tag="Tasks",
        summary="Cancel a task",
        description=(
            "200 and `prevented` when it did not run; 202 and `interrupted` when it runs: it is "
            "asked to stop, and killed after the grace of its type."
        ),
        answer=views.CancelView,
        also=(202,),
        refusals={**NO_TASK, 409: ("too-late",), **AWAY},
    ),
    *MANY_TASK_OPERATIONS,
    *ORDER_OPERATIONS,
    *WHY_OPERATIONS,
    *DEAD_LETTER_OPERATIONS,
    *STREAM_OPERATIONS,
    *WEBHOOK_OPERATIONS,
    *EVENT_OPERATIONS,
    *AUDIT_OPERATIONS,
    *SESSION_OPERATIONS,
    *POOL_OPERATIONS,
    *RESOURCE_OPERATIONS,
    *STATISTICS_OPERATIONS,
    Operation(
        method="get",
        path="/v1/task-types",
        scope=Scope.READ,
        tag="Yard",
        summary="List the task types",
        description="Those that workers have announced, with the JSON Schema of their arguments.",
        answer=views.TaskTypeList,
    ),
    Operation(
        method="get",
        path="/v1/task-types/{task_type}",
        scope=Scope.READ,
        tag="Yard",
        summary="Read a task type",
        answer=views.TaskTypeView,
        refusals={404: ("unknown-task-type",)},
    ),
    Operation(
        method="post",
        path="/v1/routes/explain",
        scope=Scope.READ,
        tag="Yard",
        summary="Explain where a task type goes",
        body={JSON: views.ExplainRequest},
        example={"type": "image.thumbnail"},
        answer=views.ExplanationView,
        refusals={**UNREADABLE, 404: ("unknown-task-type",), 422: ("invalid-request",)},
    ),
    Operation(
        method="get",
        path="/livez",
        scope=None,
        tag="Health",
        summary="Whether this process serves",
        answer=views.Live,
    ),
    Operation(
        method="get",
        path="/readyz",
        scope=None,
        tag="Health",
        summary="Whether it can accept tasks",
        description="503 when the database is away or its schema is outdated. A broker that is "
        "away does not matter here: tasks are accepted and wait.",
        also=(503,),
        answer=views.Ready,
    ),
)
