"""What takes more than one request: batches of any size, and waiting for the end of a task."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from taskyard.client import operations
from taskyard.client.documents import Accepted, Batch, Json, Task
from taskyard.client.errors import Timeout
from taskyard.client.exchange import Call, Dialog, Pause, Reply, read
from taskyard.client.operations import LONGEST_WAIT
from taskyard.client.repeats import Repeats, answered, ask

MOST_ITEMS = 10_000  # of a batch in one request
MOST_BYTES = 16 * 1024 * 1024  # of a request, unless one item alone is larger

_FIRST_LOOK, _LONGEST_LOOK = 0.02, 1.0  # seconds between two looks at a server that does not wait


def wait(task_id: str, *, within: float, repeats: Repeats) -> Dialog[Task]:
    """Return the task once it has ended. Raises Timeout.

    The server holds each answer until the task ends; one that does not know how is asked again and
    again, less and less often.
    """
    deadline = repeats.clock() + within
    look = _FIRST_LOOK
    while True:
        asked_at = repeats.clock()
        longest = max(0, min(LONGEST_WAIT, int(deadline - asked_at)))
        task = yield from ask(operations.get(task_id, wait=longest), repeats)
        now = repeats.clock()
        if task.ended:
            return task
        if now >= deadline:
            raise Timeout(task, within)
        if now - asked_at < longest / 2 or not longest:
            yield Pause(min(look, deadline - now))
            look = min(look * 1.5, _LONGEST_LOOK)


def submit_and_wait(body: Json, key: str, *, within: float, repeats: Repeats) -> Dialog[Task]:
    """Submit a task and return it once it has ended. Raises Timeout.

    An instant task takes one request: the server holds its answer (RFC 7240, `Prefer: wait`).
    """
    deadline = repeats.clock() + within
    longest = min(LONGEST_WAIT, int(within))
    request = operations.submit(body, key).request
    if longest:
        headers = {**request.headers, "Prefer": f"wait={longest}"}
        request = replace(request, headers=headers, linger=longest)
    reply: Reply = yield from answered(request, repeats)
    if reply.status == 200 and (task := read(reply, Task)).ended:
        return task
    accepted = read(reply, Accepted)
    left = max(0.0, deadline - repeats.clock())
    return (yield from wait(accepted.id, within=left, repeats=repeats))


@dataclass(slots=True)
class Chunks:
    """Gathers submissions into requests; the first has the caller's key, the next `key.1` ….

    So the same submissions in the same order under the same key make the same requests.
    """

    key: str
    _count: int = 0
    _items: list[bytes] = field(default_factory=list)
    _bytes: int = 0

    def add(self, item: Mapping[str, Any]) -> Call[Batch] | None:
        """Take one more; return the call that is full without it, if there is one."""
        encoded = operations.body_of(operations.given(item))
        full = len(self._items) == MOST_ITEMS or self._bytes + len(encoded) > MOST_BYTES
        call = self.rest() if full else None
        self._items.append(encoded)
        self._bytes += len(encoded)
        return call

    def rest(self) -> Call[Batch] | None:
        """Return the call with what was gathered, if anything was."""
        if not self._items:
            return None
        key = f"{self.key}.{self._count}" if self._count else self.key
        call = operations.submit_batch(self._items, key)
        self._count, self._items, self._bytes = self._count + 1, [], 0
        return call

    def of(self, items: Iterable[Mapping[str, Any]]) -> Iterator[Call[Batch]]:
        """Yield the calls that submit these."""
        for item in items:
            if call := self.add(item):
                yield call
        if call := self.rest():
            yield call

    async def of_async(
        self, items: Iterable[Mapping[str, Any]] | AsyncIterable[Mapping[str, Any]]
    ) -> AsyncIterator[Call[Batch]]:
        """Yield the calls that submit these."""
        if isinstance(items, AsyncIterable):
            async for item in items:
                if call := self.add(item):
                    yield call
            if call := self.rest():
                yield call
        else:
            for call in self.of(items):
                yield call


def joined(batches: Iterable[Batch]) -> Batch:
    """Return several batches as one."""
    parts = list(batches)
    return Batch(
        accepted=sum(part.accepted for part in parts),
        rejected=sum(part.rejected for part in parts),
        items=tuple(item for part in parts for item in part.items),
    )
