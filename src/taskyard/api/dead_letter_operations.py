"""The operations on dead letters, replays and attempts."""

from taskyard.api import dead_letter_views, views
from taskyard.api.operation import (
    AWAY,
    CURSOR,
    FULL,
    JSON,
    LABEL,
    LIMIT,
    NO_TASK,
    SOUGHT,
    TIME,
    UNREADABLE,
    Json,
    Operation,
)
from taskyard.core.principal import Scope
from taskyard.services.replay import ReplayRequest
from taskyard.services.replay_many import ReplayManyRequest

_FILTERS: tuple[tuple[str, Json, str], ...] = (
    ("type", SOUGHT, "Only this task type."),
    ("pool", SOUGHT, "Only this pool."),
    ("state", {"enum": ["failed", "expired", "quarantined"]}, "Only this state."),
    ("code", SOUGHT, "Only this error code; what expired has the code `expired`."),
    LABEL,
    ("finished_after", TIME, "Only what ended at or after this time."),
    ("finished_before", TIME, "Only what ended before this time."),
    LIMIT,
)

DEAD_LETTER_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/v1/tasks/{task}/attempts",
        scope=Scope.READ,
        tag="Tasks",
        summary="List the attempts of a task",
        description="Every attempt of every generation: worker, start, end, outcome, error.",
        answer=dead_letter_views.AttemptList,
        refusals={**NO_TASK, **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/tasks/{task}/replay",
        scope=Scope.REPLAY,
        tag="Dead letters",
        summary="Replay a task",
        description="What failed, expired, was quarantined or cancelled becomes pending at once, "
        "as another generation: errors and crashes are counted anew, attempts go on. Expiry and "
        "deadline stay, unless they have passed. The body may be left out; other arguments are "
        "checked like a submission's, and the former ones are kept in the history.",
        body={JSON: ReplayRequest},
        example={"args": {"source": "inputs/coffee.png", "width": 128}},
        body_required=False,
        status=202,
        answer=views.TaskView,
        refusals={
            **UNREADABLE,
            404: ("task-not-found", "unknown-task-type"),
            409: ("not-replayable",),
            410: ("task-gone",),
            422: ("invalid-request", "invalid-arguments"),
            **FULL,
        },
    ),
    Operation(
        method="get",
        path="/v1/dead-letters",
        scope=Scope.READ,
        tag="Dead letters",
        summary="List dead letters, newest first",
        description="Tasks that failed, expired or were quarantined.",
        query=(*_FILTERS, CURSOR),
        answer=views.TaskPage,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/dead-letters/groups",
        scope=Scope.READ,
        tag="Dead letters",
        summary="Group dead letters by what went wrong",
        description="Same type, state, error code and shape of the message, the largest group "
        'first. Of a message\'s first 500 characters, what stands in quotes becomes "…", and each '
        "number, UUID and hexadecimal word becomes #. The newest 10,000 are grouped.",
        query=_FILTERS,
        answer=dead_letter_views.ReasonGroupList,
        refusals={422: ("invalid-request",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/dead-letters/replay",
        scope=Scope.REPLAY,
        tag="Dead letters",
        summary="Replay many dead letters",
        description="The oldest first, at most `limit` looked at, becoming due `rate` a second. "
        "Each is checked like a submission of today; what is refused stays, with a sentence why. A "
        "dry run (200) only tells how many and why they failed. Without room for more in "
        "the backlog or a quota it stops, as it does after 20 s, and says how many are left. An "
        "empty filter needs `all`.",
        body={JSON: ReplayManyRequest},
        example={"filter": {"type": "image.thumbnail", "code": "OSError"}, "rate": 50},
        status=202,
        also=(200,),
        answer=dead_letter_views.ReplayView,
        refusals={**UNREADABLE, 422: ("invalid-request",), **FULL},
    ),
)
