"""Requests and answers without a wire, and what to make of an answer.

A dialog is a generator: it yields what is to be done next (a Request, or a Pause), is sent what
came of it, and returns what was asked for. `Client` and `AsyncClient` hold dialogs; neither decides
anything of its own.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeAlias, TypeVar

import msgspec

from taskyard.client.documents import Problem
from taskyard.client.errors import TaskyardProblem

T = TypeVar("T")

Params: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One HTTP request.

    `safe` says that sending it twice does no harm. `linger` is how many seconds the server may take
    on purpose, beyond what any answer may take.
    """

    method: str
    path: str
    params: Params = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    safe: bool = True
    linger: float = 0.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so many seconds before the next step."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No answer: `sent` says that the request may have arrived."""

    why: str
    sent: bool


Outcome: TypeAlias = Reply | Silence
Dialog: TypeAlias = Generator[Request | Pause, Outcome | None, T]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and what its answer is."""

    request: Request
    answer: type[T]


class Ask(Protocol):
    """What holds a call and returns its answer: a client."""

    def __call__(self, call: Call[T]) -> T:
        """Raises ClientError."""
        ...


class AsyncAsk(Protocol):
    """The same for asyncio."""

    async def __call__(self, call: Call[T]) -> T:
        """Raises ClientError."""
        ...


def read(reply: Reply, kind: type[T]) -> T:
    """Return the document in a reply, None for an empty one. Raises TaskyardProblem."""
    if reply.status >= 300:
        raise TaskyardProblem(problem(reply))
    try:
        return msgspec.json.decode(reply.body or b"null", type=kind)
    except msgspec.DecodeError as error:
        raise TaskyardProblem(_unintelligible(reply, str(error))) from None


def problem(reply: Reply) -> Problem:
    """Return the problem document of a refusal."""
    try:
        found = msgspec.json.decode(reply.body, type=Problem)
    except msgspec.DecodeError:
        return _unintelligible(reply, "it is no problem document")
    return msgspec.structs.replace(found, status=reply.status)


def _unintelligible(reply: Reply, why: str) -> Problem:
    return Problem(
        title="The answer is none that Taskyard gives",
        status=reply.status,
        detail=f"the answer with status {reply.status} is none that Taskyard gives: {why}",
        code="unintelligible",
    )
