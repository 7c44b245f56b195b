"""What an operation of the API is, and what operations have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from taskyard.core.principal import Scope

REFERENCE = "#/components/schemas/{name}"
JSON = "application/json"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path, answered with `status` or one of `also`.

    Those of `also` have the body `also_answer`, if it is another; `media` are its types. `streams`
    is the data of the events it may be answered with. `scope` is what the caller needs, None lets
    everybody in, and `whole_tenant` keeps out who is limited to some task types. `refusals` maps a
    status to the codes it may come with.
    """

    method: str
    path: str
    tag: str
    summary: str
    scope: Scope | None
    whole_tenant: bool = False
    description: str = ""
    query: tuple[tuple[str, Json, str], ...] = ()
    headers: tuple[tuple[str, Json, str], ...] = ()
    body: Mapping[str, Any] | None = None
    example: Any = None
    status: int = 200
    also: tuple[int, ...] = ()
    body_required: bool = True
    answer: Any = None
    media: tuple[str, ...] = (JSON,)
    also_answer: Any = None
    streams: Any = None
    refusals: Mapping[int, tuple[str, ...]] | None = None


TEXT: Json = {"type": "string"}
TRACE: tuple[tuple[str, Json, str], ...] = (
    (
        "traceparent",
        TEXT,
        "W3C Trace Context: the span that this belongs to. Ignored if not valid.",
    ),
    ("tracestate", TEXT, "What goes along with it."),
)
SOUGHT: Json = {**TEXT, "pattern": r"^[^\u0000]*$"}  # Postgres holds no NUL
PATTERN: Json = {  # core/topics.py
    **TEXT,
    "pattern": r"^([*#]|[^\u0000.*#]+)(\.([*#]|[^\u0000.*#]+))*$",
    "maxLength": 255,
}
_PAIR: Json = {**TEXT, "pattern": r"^[^\u0000:]*:[^\u0000]*$"}
TIME: Json = {"type": "string", "format": "date-time"}
UNREADABLE = {
    400: ("malformed-body",),
    408: ("request-timeout",),
    413: ("payload-too-large",),
    415: ("unsupported-media-type",),
}
AWAY = {503: ("storage-unavailable",)}
FULL = {429: ("quota-exceeded",), 503: ("storage-unavailable", "backlog-full")}
UNKNOWN_CALLER = {
    401: ("unauthenticated",),
    403: ("forbidden",),
    503: ("storage-unavailable", "issuer-unavailable"),  # nobody can say who it is
}
NO_TASK = {404: ("task-not-found",), 410: ("task-gone",)}

LABEL = ("label", _PAIR, "Only with this label, written key:value; may be repeated.")
WAIT = (
    "wait",
    {"type": "integer", "minimum": 0},
    "Seconds to wait for the end of the task; more than 60 are cut to 60.",
)
LIMIT = ("limit", {"type": "integer", "minimum": 1, "maximum": 500}, "Page size; else 50.")
CURSOR = ("cursor", {**TEXT, "pattern": "^[A-Za-z0-9_-]{22}$"}, "`next_cursor` of the page before.")


def path_parameters(path: str) -> list[Json]:
    """Return what a path has in braces, as OpenAPI describes it."""
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def parameters(place: str, given: tuple[tuple[str, Json, str], ...]) -> list[Json]:
    """Return query parameters or headers, as OpenAPI describes them."""
    return [
        {"name": name, "in": place, "schema": schema, "description": meaning}
        for name, schema, meaning in given
    ]
