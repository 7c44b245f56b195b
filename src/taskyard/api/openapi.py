"""The OpenAPI 3.1 document: every operation beside its schemas.

A test holds it against the application's own routes, both ways.
"""

from importlib.metadata import version
from typing import Any

import msgspec

from taskyard.api import (
    audit_views,
    dead_letter_views,
    event_views,
    many_task_views,
    order_operations,
    pool_views,
    resource_views,
    session_views,
    statistics_views,
    stream_views,
    views,
    webhook_views,
    why_views,
)
from taskyard.api.errors import explanations
from taskyard.api.operation import (
    JSON,
    REFERENCE,
    UNKNOWN_CALLER,
    Json,
    Operation,
    parameters,
    path_parameters,
)
from taskyard.api.operations import IDEMPOTENCY_KEY, OPERATIONS
from taskyard.services.submit import Submission

_DESCRIPTIONS = {
    200: "As asked.",
    201: "Made.",
    202: "Accepted.",
    204: "Done.",
    304: "Unchanged.",
    503: "Not ready.",
}
_WITHOUT_BODY = (204, 304)
_REPLAYED = {"Idempotency-Replayed": {"schema": {"const": "true"}}}


def document() -> Json:
    """Return the whole document."""
    kinds = [
        Submission,
        *views.SCHEMAS,
        *dead_letter_views.SCHEMAS,
        *event_views.SCHEMAS,
        *many_task_views.SCHEMAS,
        *order_operations.SCHEMAS,
        *pool_views.SCHEMAS,
        *resource_views.SCHEMAS,
        *statistics_views.SCHEMAS,
        *stream_views.SCHEMAS,
        *webhook_views.SCHEMAS,
        *audit_views.SCHEMAS,
        *session_views.SCHEMAS,
        *why_views.SCHEMAS,
    ]
    _, components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
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
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (`tk_…`), or a token of a configured issuer.",
                }
            },
        },
        "security": [{"bearer": []}],
    }


def _operation(operation: Operation) -> Json:
    described: Json = {
        **({} if operation.scope else {"security": []}),
        "operationId": _identifier(operation),
        "tags": [operation.tag],
        "summary": operation.summary,
        "responses": {
            **{
                str(status): {
                    "description": _DESCRIPTIONS[status],
                    **(_content(operation, answer) if status not in _WITHOUT_BODY else {}),
                }
                for status, answer in _answers(operation)
            },
            **_refusals(operation),
        },
    }
    if IDEMPOTENCY_KEY in operation.headers:
        described["responses"][str(operation.status)]["headers"] = _REPLAYED
    needs = f"Needs the scope `{operation.scope}`." if operation.scope else ""
    if text := " ".join(filter(None, (operation.description, needs))):
        described["description"] = text
    if given := [
        *path_parameters(operation.path),
        *parameters("query", operation.query),
        *parameters("header", operation.headers),
    ]:
        described["parameters"] = given
    if operation.body:
        content = {media: {"schema": _schema(kind)} for media, kind in operation.body.items()}
        content[JSON]["example"] = operation.example
        described["requestBody"] = {"required": operation.body_required, "content": content}
    return described


def _answers(operation: Operation) -> list[tuple[int, Any]]:
    other = operation.also_answer or operation.answer
    return [(operation.status, operation.answer), *((status, other) for status in operation.also)]


def _content(operation: Operation, answer: Any) -> Json:
    content = {each: {"schema": _schema(answer)} for each in operation.media if answer}
    if operation.streams:
        content["text/event-stream"] = {"schema": _schema(operation.streams)}
    return {"content": content} if content else {}


def _refusals(operation: Operation) -> Json:
    titles = {code: title for code, title, _ in explanations()}
    refusals = dict(operation.refusals or {})
    for status, codes in (UNKNOWN_CALLER if operation.scope else {}).items():
        refusals[status] = tuple(dict.fromkeys((*refusals.get(status, ()), *codes)))
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {titles[code]}" for code in codes),
            "content": {
                "application/problem+json": {"schema": {"$ref": REFERENCE.format(name="Problem")}}
            },
        }
        for status, codes in sorted(refusals.items())
    }


def _identifier(operation: Operation) -> str:
    words = operation.path.replace("/v1", "").replace("{", "").replace("}", "").split("/")
    return "_".join([operation.method, *(word.replace("-", "_") for word in words if word)])


def _schema(kind: Any) -> Json:
    return kind if isinstance(kind, dict) else {"$ref": REFERENCE.format(name=kind.__name__)}
