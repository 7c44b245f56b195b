"""What the server says of events."""

from datetime import datetime

import msgspec

from taskyard.client.documents import Json, Problem


class EventTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a rule made of an event, or one with the same dedupe value made before."""

    rule: str
    task: str
    generation: int = 1


class EventReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an event that was sent; of a `duplicate`, what became of the first."""

    key: str
    source: str
    id: str
    type: str
    state: str
    reason: str | None
    duplicate: bool
    tasks: tuple[EventTask, ...]


class EventReceiptList(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each event that was sent, in order."""

    items: tuple[EventReceipt, ...]


class LoggedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the log: `event` is the CloudEvent itself, `tasks` what rules made of it."""

    key: str
    source: str
    id: str
    type: str
    subject: str | None
    time: datetime | None
    received_at: datetime
    state: str
    reason: str | None
    generation: int
    tasks: tuple[EventTask, ...]
    event: Json


class LoggedEventPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of events, newest first; `next_cursor` is None on the last."""

    items: tuple[LoggedEvent, ...]
    next_cursor: str | None


class ParkedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What is parked. What could be read is in `event`, else `body` begins as it arrived (base64).

    `size` is that of the body in bytes, `replays` how often it was replayed in vain.
    """

    key: str
    parked_at: datetime
    reason: str
    detail: str
    source: str | None
    id: str | None
    type: str | None
    event: Json | None
    content_type: str | None
    content_encoding: str | None
    user_id: str | None
    attributes: Json | None
    body: str | None
    size: int
    replays: int


class ParkedPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of parked events, newest first; `next_cursor` is None on the last."""

    items: tuple[ParkedEvent, ...]
    next_cursor: str | None


class ParkedProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why an event stays parked."""

    key: str
    reason: str
    detail: str


class ParkedReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of parked events did or would do; at most 20 `problems` are shown.

    It was `stopped` where the backlog or a quota had no room for more.
    """

    dry_run: bool
    count: int
    released: int
    still_parked: int
    tasks: int
    more: bool
    problems: tuple[ParkedProblem, ...]
    stopped: Problem | None = None


class EventReplayReport(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of events did or would do: `tasks` counts those of each type.

    For `unmatched` events no rule fires today, for `refused` ones a rule fails; both stay as they
    were. With `next_cursor` the same request goes on. It was `stopped` where the backlog or a quota
    had no room for more.
    """

    dry_run: bool
    events: int
    fired: int
    unmatched: int
    refused: int
    tasks: dict[str, int]
    next_cursor: str | None
    stopped: Problem | None
