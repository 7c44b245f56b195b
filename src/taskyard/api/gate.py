"""The gate: submissions that a full backlog refuses are refused before the application sees them.

Through the framework a refusal costs what an acceptance does; here a seventh of it (measured), so
that who is refused does not take the time of who is let in. What needs more than a look at type,
priority and caller is left to the application: a repeat under an idempotency key, a tenant with a
rate (whose answers say where it stands), and whatever is to be refused for another reason.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import msgspec

from taskyard.core.errors import BacklogFull, TaskyardError
from taskyard.core.principal import Principal, Scope
from taskyard.core.routing import HIGHEST_PRIORITY, LOWEST_PRIORITY, RoutingTable
from taskyard.services.backlog import Backlog
from taskyard.services.quotas import Quotas

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

_COMES_WITHIN = 0.1  # seconds; for a body that takes longer nobody waits here
_NOT_FOR_US = (b"idempotency-key", b"content-encoding")
_BEARER = re.compile(rb"bearer +([!-~]+)", re.IGNORECASE)


class _Asked(msgspec.Struct):
    """What of a submission tells whether there is room for it."""

    type: str
    priority: int | None = None


_DECODER = msgspec.json.Decoder(_Asked)


class Gate:
    """Refuses what the backlog has no room for; `answered` hears the seconds that each took.

    `known` says who shows a credential, if nobody need be asked for that.
    """

    def __init__(
        self,
        *,
        backlog: Backlog,
        quotas: Quotas,
        table: RoutingTable,
        known: Callable[[str], Principal | None],
        answered: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._backlog = backlog
        self._quotas = quotas
        self._table = table
        self._known = known
        self._answered = answered

    @property
    def is_watched(self) -> bool:
        """Whether so much waits that it is worth to look at each submission."""
        return self._backlog.is_near

    def refusal(self, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> BacklogFull | None:
        """Return why a submission is refused, if it is for want of room."""
        began, given = time.monotonic(), dict(headers)
        if len(given) < len(headers) or not given.keys().isdisjoint(_NOT_FOR_US):
            return None
        shown = _BEARER.fullmatch(given.get(b"authorization", b"").strip())
        if shown is None or given.get(b"content-type") != b"application/json":
            return None
        try:
            if (principal := self._known(shown[1].decode())) is not None:
                self._require_room(_DECODER.decode(body), principal)
        except BacklogFull as full:
            self._answered(time.monotonic() - began)
            return full
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TaskyardError):
            pass  # the application says what is wrong
        return None

    def _require_room(self, asked: _Asked, caller: Principal) -> None:
        if not caller.may(Scope.SUBMIT) or not caller.may_touch(asked.type):
            return
        route = self._table.resolve(asked.type)
        priority = route.defaults.priority if asked.priority is None else asked.priority
        limited = self._quotas.of(caller.tenant).rate is not None
        if LOWEST_PRIORITY <= priority <= HIGHEST_PRIORITY and not limited:
            self._backlog.require_room(route.pool.name, priority, caller.tenant)


async def first_of(receive: Receive, *, length: bytes) -> tuple[bytes | None, Receive]:
    """Return the body, if all of it comes soon and at once, and what receives it again.

    `length` is its Content-Length: granian says of every first part that there may be more.
    """
    first = asyncio.ensure_future(receive())
    try:
        await asyncio.wait([first], timeout=_COMES_WITHIN)
    except asyncio.CancelledError:
        first.cancel()
        raise
    left = [first]

    async def again() -> Message:
        return await (left.pop() if left else receive())

    body: bytes | None = first.result().get("body") if first.done() else None
    return (body if body and b"%d" % len(body) == length else None), again
