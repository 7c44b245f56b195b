"""/v1/tasks/{id}/events and /log: what a task did and said, read at once or as it happens."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from quart import Blueprint, Response, request

from taskyard.api import sse
from taskyard.api.caller import own
from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.request import task_id
from taskyard.api.stream_query import last_known
from taskyard.api.stream_views import Farewell
from taskyard.core.retention import why_absent
from taskyard.core.task import TaskId
from taskyard.services.readers import TOO_SLOW
from taskyard.services.watch import Watch
from taskyard.services.watched import Item
from taskyard.storage import task_logs
from taskyard.storage import tasks as tasks_table
from taskyard.storage.pool import borrowed
from taskyard.storage.streams import Event, Known, Look
from taskyard.storage.task_logs import LogLine


def histories_blueprint(parts: Parts) -> Blueprint:
    """Serve what tasks did and said."""
    blueprint = Blueprint("histories", __name__)

    @blueprint.get("/v1/tasks/<task>/events")
    async def events(task: str) -> Response:
        wanted = task_id(task)
        best = request.accept_mimetypes.best_match(["application/json", sse.MEDIA_TYPE])
        if best == sse.MEDIA_TYPE:
            return await _stream(parts, wanted)
        async with borrowed(own(parts)) as connection:
            history = await tasks_table.events(connection, wanted)
        if not history:
            raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
        return respond({"items": history}, headers={"Vary": "Accept"})

    @blueprint.get("/v1/tasks/<task>/log")
    async def log(task: str) -> Response:
        wanted = task_id(task)
        async with borrowed(own(parts)) as connection:
            lines = await task_logs.lines_after(connection, wanted, 0)
            if not lines and await tasks_table.get(connection, wanted, told=True) is None:
                raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
        return respond({"items": lines})

    return blueprint


async def _stream(parts: Parts, wanted: TaskId) -> Response:
    known = last_known()
    # The watch is shared by all readers and asks nobody whose a task is.
    async with borrowed(own(parts)) as connection:
        if await tasks_table.get(connection, wanted, told=True) is None:
            raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
    found = await parts.watch.look(wanted, known)
    if found is None:
        raise why_absent(wanted, table=parts.table, now=datetime.now(UTC))
    look, items = found
    if look.ended and known.seq >= look.seq:
        return Response(status=204)  # by the specification, who gets it does not come again
    return sse.stream_response(_content(parts.watch, wanted, known, look, items))


async def _content(
    watch: Watch, wanted: TaskId, known: Known, look: Look, items: list[Item]
) -> AsyncIterator[bytes]:
    """Yield what is new of a task until it ends."""
    place = _Place(known)
    yield sse.opening(place.id) + b"".join(map(place.show, items))
    if look.ended:
        return
    with watch.joined(wanted, place.known, look) as reader:
        while reader.ended is None:
            items = await reader.take(within=sse.HEARTBEAT)
            yield b"".join(map(place.show, items)) or sse.heartbeat(place.id)
        if reader.ended == TOO_SLOW:
            yield sse.event("dropped", Farewell(reason=reader.ended))


class _Place:
    """How far a reader has come; what it knows already is not shown again."""

    def __init__(self, known: Known) -> None:
        self.known = known

    @property
    def id(self) -> str:
        return ".".join(map(str, self.known)) if self.known.line else str(self.known.seq)

    def show(self, item: Item) -> bytes:
        """Return an item as an event, or nothing."""
        match item:
            case Event():
                if item.seq <= self.known.seq:
                    return b""
                self.known = self.known._replace(seq=item.seq)
                return sse.event("change", item, place=self.id)
            case LogLine():
                if item.number <= self.known.line:
                    return b""
                self.known = self.known._replace(line=item.number)
                return sse.event("log", item, place=self.id)
            case _:
                return sse.event("progress", item, place=self.id)
