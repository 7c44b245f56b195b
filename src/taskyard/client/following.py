"""Following an event stream over broken connections and restarts of the server."""

from collections.abc import Iterator, Mapping
from dataclasses import InitVar, dataclass, field, replace
from typing import Any

import msgspec

from taskyard.client.documents import ENDED, Change, Problem, Progress
from taskyard.client.errors import TaskyardProblem, Unreachable
from taskyard.client.event_parser import EventParser
from taskyard.client.exchange import Outcome, Pause, Reply, Request, Silence, problem
from taskyard.client.repeats import Repeats, Trouble, may_repeat, retry_after
from taskyard.client.stream_documents import Gap, LogLine, News, TaskChange

MEDIA_TYPE = "text/event-stream"
LONGEST_SILENCE = 60.0  # seconds; the server sends heartbeats far more often


# The kinds of events, and what each holds. A newer server may tell of others: they are passed over.
_OF_ONE_TASK: Mapping[str, type[Any]] = {"change": Change, "progress": Progress, "log": LogLine}
_OF_ALL_TASKS: Mapping[str, type[Any]] = {"change": TaskChange, "gap": Gap}


@dataclass(slots=True)
class Following:
    """One stream that is followed: says what to ask, makes news of bytes, judges breaks.

    With `task_only`, it is the stream of one task, and over when that has ended.
    """

    origin: Request
    repeats: Repeats
    after: InitVar[str] = ""
    task_only: bool = False
    over: bool = False
    _ended: bool = False
    _parser: EventParser = field(init=False)
    _trouble: Trouble | None = None

    def __post_init__(self, after: str) -> None:
        self._parser = EventParser(last_id=after)

    @property
    def _kinds(self) -> Mapping[str, type[Any]]:
        return _OF_ONE_TASK if self.task_only else _OF_ALL_TASKS

    def request(self) -> Request:
        """Return the request that begins the stream, or goes on where it broke off."""
        last_id = self._parser.last_id  # heartbeats move it too
        self._parser = EventParser(last_id=last_id, retry=self._parser.retry)
        headers = {**self.origin.headers, "Accept": MEDIA_TYPE, "Cache-Control": "no-cache"}
        if last_id:
            headers["Last-Event-ID"] = last_id
        return replace(self.origin, headers=headers, linger=LONGEST_SILENCE)

    def accepts(self, reply: Reply) -> bool:
        """Whether a reply, whose body has not been read yet, begins a stream."""
        kind = reply.headers.get("content-type", "").partition(";")[0]
        return reply.status == 200 and kind == MEDIA_TYPE

    def hear(self, chunk: bytes) -> Iterator[News]:
        """Yield the news in a chunk. Raises TaskyardProblem for what is none."""
        self._trouble = None
        try:
            for event in self._parser.feed(chunk):
                if not event.kind:
                    self.over = self._ended
                    continue
                # "dropped" is one: who reads too slowly is sent away, and goes on where it was.
                if (kind := self._kinds.get(event.kind)) is None:
                    continue
                data = msgspec.json.decode(event.data, type=kind)
                if isinstance(data, Change):
                    self._ended = data.state in ENDED
                yield News(id=event.id, data=data)
        except ValueError as error:  # msgspec's errors are ValueErrors too
            raise TaskyardProblem(_no_stream(200, str(error))) from None

    def broken(self, outcome: Outcome | None) -> Pause:
        """Return the wait before going on; None stands for an end without an error.

        Raises Unreachable and TaskyardProblem when going on is no use.
        """
        nothing_more = isinstance(outcome, Reply) and outcome.status == 204
        if nothing_more or (outcome is None and self._ended):
            self.over = True
            return Pause(0)
        came = outcome or Silence(why="the server ended the stream", sent=True)
        self._trouble = self._trouble or self.repeats.trouble()
        pause = None
        if may_repeat(self.origin, came):
            least = max(retry_after(came), self._parser.retry or 0.0)
            pause = self._trouble.pause(at_least=least)
        if pause is None:
            raise _given_up(came)
        return pause


def _given_up(outcome: Outcome) -> TaskyardProblem | Unreachable:
    if isinstance(outcome, Silence):
        return Unreachable(outcome.why)
    if outcome.status < 300:
        return TaskyardProblem(_no_stream(outcome.status, "it is no event stream"))
    return TaskyardProblem(problem(outcome))


def _no_stream(status: int, why: str) -> Problem:
    return Problem(
        title="The server sends no event stream",
        status=status,
        detail=f"the server sends no event stream here: {why}",
        code="unintelligible",
    )
