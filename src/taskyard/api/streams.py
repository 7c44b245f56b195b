"""/v1/stream: all changes, as they happen."""

from collections.abc import AsyncIterator, Iterable

from quart import Blueprint, Response

from taskyard.api import sse
from taskyard.api.caller import caller
from taskyard.api.parts import Parts
from taskyard.api.stream_query import last_position, wanted
from taskyard.api.stream_views import ChangeView, Farewell
from taskyard.api.views import TaskError
from taskyard.services.follow import Follower
from taskyard.services.readers import STOPPING
from taskyard.services.stream import Stream
from taskyard.services.wanted import Wanted
from taskyard.storage.changes import Change


def streams_blueprint(parts: Parts) -> Blueprint:
    """Serve the stream of all changes."""
    blueprint = Blueprint("streams", __name__)

    @blueprint.get("/v1/stream")
    async def stream() -> Response:
        filters, after = wanted(caller().owner), last_position()
        lost = None if after is None else await parts.stream.lost(after)
        if after is None or (lost and await parts.stream.begin() < after):
            after = await parts.stream.begin()
        return sse.stream_response(_content(parts.stream, filters, after, lost))

    return blueprint


async def _content(
    stream: Stream, filters: Wanted, after: int, lost: str | None
) -> AsyncIterator[bytes]:
    """Yield the changes that are wanted behind a position, for ever."""
    yield sse.opening(after) + (sse.event("gap", Farewell(reason=lost)) if lost else b"")
    follower = Follower(after)
    async for page in stream.pages(follower):
        if page:
            yield _shown(page, filters, after) + sse.heartbeat(follower.after)
    after = follower.after
    with stream.joined(follower, filters) as reader:
        sent = sse.now()
        while reader.ended is None:
            changes = await reader.take(within=max(0.0, sent + sse.HEARTBEAT - sse.now()))
            content = _shown(changes, filters, after)
            after = max([after, *(change.position for change in changes[-1:])])
            # Who was dropped has not been told: its place stays, so that it may resume there.
            if not content and not reader.ended and sse.now() - sent >= sse.HEARTBEAT:
                after = max(after, stream.told)
                content = sse.heartbeat(after)
            if content:
                yield content
                sent = sse.now()
        if reader.ended != STOPPING:
            yield sse.event("dropped", Farewell(reason=reader.ended))


def _shown(changes: Iterable[Change], filters: Wanted, after: int) -> bytes:
    return b"".join(
        sse.event("change", _view(change), place=change.position)
        for change in changes
        if change.position > after and filters.includes(change)
    )


def _view(change: Change) -> ChangeView:
    return ChangeView(
        position=change.position,
        task=str(change.task_id),
        seq=change.seq,
        at=change.at,
        type=change.type,
        pool=change.pool,
        labels=change.labels,
        state=change.state,
        generation=change.generation,
        attempt=change.attempt,
        worker=change.worker,
        reason=change.reason,
        error=TaskError(**change.error) if change.error else None,
    )
