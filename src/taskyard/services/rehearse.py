"""Rehearse: what draft rules would have made of recorded events, beside the rules of today."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from taskyard.core.events import EventKey, EventState
from taskyard.core.retention import first_id_at
from taskyard.core.routing import RoutingTable
from taskyard.services.catalog import Catalog
from taskyard.services.event_document import to_event
from taskyard.services.fire import Decision, decide
from taskyard.storage import inbox
from taskyard.storage.inbox import StoredEvent
from taskyard.storage.pool import AsyncConnection

_ROWS_AT_ONCE = 500


@dataclass(slots=True, kw_only=True)
class Tally:
    """What some rules made: tasks by type, by type and hour; events by what became of them."""

    tasks: Counter[str] = field(default_factory=Counter)
    hours: Counter[tuple[str, datetime]] = field(default_factory=Counter)
    events: Counter[EventState] = field(default_factory=Counter)
    keys: set[int] = field(default_factory=set)

    def add(self, decision: Decision, hour: datetime) -> None:
        """Count what would become of an event that arrived in an hour."""
        self.events[decision.state] += 1
        for fired in decision.fired:
            if fired.task.keyed:
                # A number in place of the key: a million of them fit into memory.
                key = hash(fired.task.keyed.key.text)
                if key in self.keys:
                    continue
                self.keys.add(key)
            self.tasks[fired.task.type] += 1
            self.hours[fired.task.type, hour] += 1

    def busiest(self, task_type: str) -> int:
        """Return the most tasks of a type in one hour."""
        return max((n for (each, _), n in self.hours.items() if each == task_type), default=0)


@dataclass(slots=True, kw_only=True)
class Rehearsal:
    """The rules of today and the draft on the same events; `changed` are some that differ."""

    events: int = 0
    now: Tally = field(default_factory=Tally)
    draft: Tally = field(default_factory=Tally)
    changed: list[tuple[StoredEvent, Decision, Decision]] = field(default_factory=list)


async def rehearse(
    connection: AsyncConnection,
    *,
    table: RoutingTable,
    draft: RoutingTable,
    catalog: Catalog,
    since: datetime,
    now: datetime,
    shown: int = 10,
) -> Rehearsal:
    """Consider both sets of rules for every event since then. Nothing fires, nothing is stored."""
    found = Rehearsal()
    low, until = EventKey(first_id_at(since)), EventKey(first_id_at(now))
    while True:
        events = await inbox.walk(
            connection, after=low, until=until, matching=None, limit=_ROWS_AT_ONCE
        )
        for each in events.rows:
            event = to_event(each.document)
            one, other = (
                decide(event, tenant=each.tenant, table=rules, catalog=catalog, now=now)
                for rules in (table, draft)
            )
            hour = each.received_at.replace(minute=0, second=0, microsecond=0)
            found.now.add(one, hour)
            found.draft.add(other, hour)
            if len(found.changed) < shown and _outcome(one) != _outcome(other):
                found.changed.append((each, one, other))
        found.events += len(events.rows)
        if not events.more:
            return found
        low = events.rows[-1].key


def _outcome(decision: Decision) -> tuple[EventState, Sequence[tuple[str, str, int]]]:
    """What two decisions differ in, if they do: ids are new each time."""
    tasks = sorted((f.task.type, f.task.args, f.task.priority) for f in decision.fired)
    return decision.state, tasks
