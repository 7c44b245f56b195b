"""The OpenAPI 3.1 document: every operation described once, beside its schemas.

A test holds it against the application's own routes, both ways.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import msgspec

from taskyard.api import dead_letter_views, views
from taskyard.api.errors import explanations
from taskyard.services.dead_letters import ReplayManyRequest
from taskyard.services.replay import ReplayRequest
from taskyard.services.submit import Submission

_REFERENCE = "#/components/schemas/{name}"
_JSON = "application/json"
_DESCRIPTIONS = {200: "As asked.", 202: "Accepted.", 503: "Not ready."}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, answered with `status` or one of `also`.

    `refusals` maps a status to the codes it may come with.
    """

    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    query: tuple[tuple[str, Json, str], ...] = ()
    headers: tuple[tuple[str, Json, str], ...] = ()
    body: Mapping[str, Any] | None = None
    example: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    body_required: bool = True
    answer: Any = None
    refusals: Mapping[int, tuple[str, ...]] | None = None


_TEXT: Json = {"type": "string"}
_TIME: Json = {"type": "string", "format": "date-time"}
_UNREADABLE = {400: ("malformed-body",), 415: ("unsupported-media-type",)}
_AWAY = {503: ("storage-unavailable",)}
_NO_TASK = {404: ("task-not-found",), 410: ("task-gone",)}

_LABEL = ("label", _TEXT, "Only with this label, written key:value; may be repeated.")
_LIMIT = ("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "Page size; else 50.")
_CURSOR = ("cursor", _TEXT, "`next_cursor` of the page before.")
_DEAD_LETTER_FILTERS: tuple[tuple[str, Json, str], ...] = (
    ("type", _TEXT, "Only this task type."),
    ("pool", _TEXT, "Only this pool."),
    ("state", {"enum": ["failed", "expired", "quarantined"]}, "Only this state."),
    ("code", _TEXT, "Only this error code; what expired has the code `expired`."),
    _LABEL,
    ("finished_after", _TIME, "Only what ended at or after this time."),
    ("finished_before", _TIME, "Only what ended before this time."),
    _LIMIT,
)

_KEY = (
    "Idempotency-Key",
    {**_TEXT, "minLength": 1, "examples": ['"5f1a7f0e-order-1042"']},
    "Makes it safe to send the request again: one key, one task. A string in quotes or bare, 1 to "
    "255 printable ASCII characters; for a batch at most 250.",
)
_REPLAYED = {"Idempotency-Replayed": {"schema": {"const": "true"}}}

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/tasks",
        tag="Tasks",
        summary="Submit a task",
        description="The reply is sent after the task is committed: 202 means durable. With an "
        "Idempotency-Key it may be sent again: the same request gets the same reply, with the "
        "header `Idempotency-Replayed: true`; another request gets 422.",
        headers=(_KEY,),
        body={_JSON: Submission},
        example={
            "type": "image.thumbnail",
            "args": {"source": "inputs/coffee.png", "width": 128},
            "priority": 7,
            "labels": {"team": "web"},
        },
        status=202,
        answer=views.AcceptedView,
        refusals={
            **_UNREADABLE,
            404: ("unknown-task-type",),
            413: ("payload-too-large",),
            422: ("invalid-request", "invalid-arguments", "idempotency-key-reused"),
            503: ("storage-unavailable", "overloaded", "outcome-unknown"),
        },
    ),
    Operation(
        method="get",
        path="/v1/tasks",
        tag="Tasks",
        summary="List tasks, newest first",
        query=(
            ("type", _TEXT, "Only this task type."),
            ("state", {"$ref": _REFERENCE.format(name="State")}, "Only this state."),
            ("pool", _TEXT, "Only this pool."),
            _LABEL,
            ("created_after", _TIME, "Only tasks created at or after this time."),
            ("created_before", _TIME, "Only tasks created before this time."),
            _LIMIT,
            _CURSOR,
        ),
        answer=views.TaskPage,
        refusals={422: ("invalid-request",), **_AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/batch",
        tag="Tasks",
        summary="Submit up to 10,000 tasks",
        description="Each item has an outcome of its own, in order; a bad one spoils no other. "
        "NDJSON has one task on a line. An item may have an `idempotency_key`; with an "
        "Idempotency-Key header `K`, item number i, from 0, without one of its own has the key "
        "`K/i`. `Idempotency-Replayed: true` says that every accepted item was accepted before.",
        headers=(_KEY,),
        body={_JSON: views.Batch, "application/x-ndjson": _TEXT},
        example={"tasks": [{"type": "table.summarize", "args": {"source": "inputs/airports.csv"}}]},
        status=202,
        answer=views.BatchView,
        refusals={
            **_UNREADABLE,
            413: ("payload-too-large",),
            422: ("invalid-request",),
            **_AWAY,
        },
    ),
    Operation(
        method="get",
        path="/v1/tasks/{task}",
        tag="Tasks",
        summary="Read a task",
        answer=views.TaskView,
        refusals={**_NO_TASK, **_AWAY},
    ),
    Operation(
        method="get",
        path="/v1/tasks/{task}/events",
        tag="Tasks",
        summary="Read the history of a task",
        description="Its events, numbered without a gap.",
        answer=views.EventList,
        refusals={**_NO_TASK, **_AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/{task}/cancel",
        tag="Tasks",
        summary="Cancel a task",
        description=(
            "200 and `prevented` when it did not run; 202 and `interrupted` when it runs: it is "
            "asked to stop, and killed after the grace of its type."
        ),
        answer=views.CancelView,
        also=(202,),
        refusals={**_NO_TASK, 409: ("too-late",), **_AWAY},
    ),
    Operation(
        method="get",
        path="/v1/tasks/{task}/attempts",
        tag="Tasks",
        summary="List the attempts of a task",
        description="Every attempt of every generation: worker, start, end, outcome, error.",
        answer=dead_letter_views.AttemptList,
        refusals={**_NO_TASK, **_AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/{task}/replay",
        tag="Dead letters",
        summary="Replay a task",
        description="What failed, expired, was quarantined or cancelled becomes pending at once, "
        "as another generation: errors and crashes are counted anew, attempts go on. Expiry and "
        "deadline stay, unless they have passed. The body may be left out; other arguments are "
        "checked like a submission's, and the former ones are kept in the history.",
        body={_JSON: ReplayRequest},
        example={"args": {"source": "inputs/coffee.png", "width": 128}},
        body_required=False,
        status=202,
        answer=views.TaskView,
        refusals={
            **_UNREADABLE,
            404: ("task-not-found", "unknown-task-type"),
            409: ("not-replayable",),
            410: ("task-gone",),
            413: ("payload-too-large",),
            422: ("invalid-request", "invalid-arguments"),
            **_AWAY,
        },
    ),
    Operation(
        method="get",
        path="/v1/dead-letters",
        tag="Dead letters",
        summary="List dead letters, newest first",
        description="Tasks that failed, expired or were quarantined.",
        query=(*_DEAD_LETTER_FILTERS, _CURSOR),
        answer=views.TaskPage,
        refusals={422: ("invalid-request",), **_AWAY},
    ),
    Operation(
        method="get",
        path="/v1/dead-letters/groups",
        tag="Dead letters",
        summary="Group dead letters by what went wrong",
        description="Same type, state, error code and shape of the message, the largest group "
        'first. Of a message\'s first 500 characters, what stands in quotes becomes "…", and each '
        "number, UUID and hexadecimal word becomes #. The newest 10,000 are grouped.",
        query=_DEAD_LETTER_FILTERS,
        answer=dead_letter_views.ReasonGroupList,
        refusals={422: ("invalid-request",), **_AWAY},
    ),
    Operation(
        method="post",
        path="/v1/dead-letters/replay",
        tag="Dead letters",
        summary="Replay many dead letters",
        description="The oldest first, at most `limit`, becoming due `rate` a second. A dry run "
        "(200) only tells how many and why they failed. An empty filter needs `all`.",
        body={_JSON: ReplayManyRequest},
        example={"filter": {"type": "image.thumbnail", "code": "OSError"}, "rate": 50},
        status=202,
        also=(200,),
        answer=dead_letter_views.ReplayView,
        refusals={**_UNREADABLE, 422: ("invalid-request",), **_AWAY},
    ),
    Operation(
        method="get",
        path="/v1/task-types",
        tag="Yard",
        summary="List the task types",
        description="Those that workers have announced, with the JSON Schema of their arguments.",
        answer=views.TaskTypeList,
    ),
    Operation(
        method="get",
        path="/v1/task-types/{task_type}",
        tag="Yard",
        summary="Read a task type",
        answer=views.TaskTypeView,
        refusals={404: ("unknown-task-type",)},
    ),
    Operation(
        method="post",
        path="/v1/routes/explain",
        tag="Yard",
        summary="Explain where a task type goes",
        body={_JSON: views.ExplainRequest},
        example={"type": "image.thumbnail"},
        answer=views.ExplanationView,
        refusals={**_UNREADABLE, 404: ("unknown-task-type",), 422: ("invalid-request",)},
    ),
    Operation(
        method="get",
        path="/v1/pools",
        tag="Yard",
        summary="List the pools",
        description="What waits in each queue, who consumes it and what runs.",
        answer=views.PoolList,
        refusals=_AWAY,
    ),
    Operation(
        method="get",
        path="/v1/pools/{pool}",
        tag="Yard",
        summary="Read a pool",
        answer=views.PoolView,
        refusals={404: ("pool-not-found",), **_AWAY},
    ),
    Operation(
        method="get",
        path="/livez",
        tag="Health",
        summary="Whether this process serves",
        answer=views.Live,
    ),
    Operation(
        method="get",
        path="/readyz",
        tag="Health",
        summary="Whether it can accept tasks",
        description="503 when the database is away or its schema is outdated. A broker that is "
        "away does not matter here: tasks are accepted and wait.",
        also=(503,),
        answer=views.Ready,
    ),
)


def document() -> Json:
    """Return the whole document."""
    kinds = [Submission, *views.SCHEMAS, *dead_letter_views.SCHEMAS]
    _, components = msgspec.json.schema_components(kinds, ref_template=_REFERENCE)
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Taskyard",
            "version": version("taskyard"),
            "summary": "A task gateway in front of RabbitMQ and Celery.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(operation: Operation) -> Json:
    described: Json = {
        "operationId": _identifier(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {
            **{
                str(status): {
                    "description": _DESCRIPTIONS[status],
                    "content": {_JSON: {"schema": _schema(operation.answer)}},
                }
                for status in (operation.status, *operation.also)
            },
            **_refusals(operation),
        },
    }
    if _KEY in operation.headers:
        described["responses"][str(operation.status)]["headers"] = _REPLAYED
    if operation.description:
        described["description"] = operation.description
    if parameters := [
        *_path_parameters(operation.path),
        *_parameters("query", operation.query),
        *_parameters("header", operation.headers),
    ]:
        described["parameters"] = parameters
    if operation.body:
        content = {media: {"schema": _schema(kind)} for media, kind in operation.body.items()}
        content[_JSON]["example"] = operation.example
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _refusals(operation: Operation) -> Json:
    titles = {code: title for code, title, _ in explanations()}
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {titles[code]}" for code in codes),
            "content": {
                "application/problem+json": {"schema": {"$ref": _REFERENCE.format(name="Problem")}}
            },
        }
        for status, codes in sorted((operation.refusals or {}).items())
    }


def _identifier(operation: Operation) -> str:
    words = operation.path.replace("/v1", "").replace("{", "").replace("}", "").split("/")
    return "_".join([operation.method, *(word.replace("-", "_") for word in words if word)])


def _path_parameters(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]


def _parameters(place: str, given: tuple[tuple[str, Json, str], ...]) -> list[Json]:
    return [
        {"name": name, "in": place, "schema": schema, "description": meaning}
        for name, schema, meaning in given
    ]


def _schema(kind: Any) -> Json:
    return kind if isinstance(kind, dict) else {"$ref": _REFERENCE.format(name=kind.__name__)}
