"""Fire: from an event to the tasks its rules want, all of them or none."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from taskyard.core.errors import IdempotencyKeyReused, TaskyardError
from taskyard.core.events import Event, EventState, ParkReason
from taskyard.core.idempotency import IdempotencyKey, KeyedRequest
from taskyard.core.principal import TenantId
from taskyard.core.routing import RoutingTable
from taskyard.core.rules import Declined, Failed, Firing
from taskyard.core.task import Accepted, NewTask, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.idempotency import with_key
from taskyard.services.submit import Submission, prepare
from taskyard.storage import tasks
from taskyard.storage.inbox import EventTask
from taskyard.storage.pool import AsyncConnection

_LONGEST_DETAIL = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A task that a rule made."""

    rule: str
    task: NewTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to become of an event. `detail` says why it is parked, in words."""

    state: EventState
    reason: str | None = None
    detail: str = ""
    fired: tuple[Fired, ...] = ()


def decide(
    event: Event,
    *,
    tenant: TenantId,
    table: RoutingTable,
    catalog: Catalog,
    now: datetime,
    generation: int = 1,
    hold: float = 0.0,
) -> Decision:
    """Consider every rule. When one of them fails none fires, and the event is to be parked.

    A later generation has dedupe keys of its own.
    """
    outcomes = list(table.events.consider(event))
    if not outcomes:
        detail = f"no rule's pattern matches the type {event.type!r}"
        return _parked(ParkReason.UNMATCHED, detail)
    fired = []
    for outcome in outcomes:
        if isinstance(outcome, Failed):
            where = f"rule {outcome.rule.name!r}, {outcome.at}"
            return _parked(ParkReason.EXPRESSION, f"{where}: {outcome.problem}")
        if isinstance(outcome, Firing):
            try:
                task = _task(outcome, tenant, table, catalog, now, generation=generation, hold=hold)
            except TaskyardError as error:
                faults = "".join(f"; {fault}" for fault in error.faults)
                detail = f"rule {outcome.rule.name!r}: {error.detail}{faults}"
                return _parked(ParkReason.UNFIT, detail)
            fired.append(Fired(rule=outcome.rule.name, task=task))
    if not fired:
        declined = ", ".join(each.rule.name for each in outcomes if isinstance(each, Declined))
        return Decision(state=EventState.UNMATCHED, reason=f"declined by {declined}")
    return Decision(state=EventState.FIRED, fired=tuple(fired))


def _parked(reason: ParkReason, detail: str) -> Decision:
    return Decision(state=EventState.PARKED, reason=reason, detail=detail[:_LONGEST_DETAIL])


def _task(
    firing: Firing,
    tenant: TenantId,
    table: RoutingTable,
    catalog: Catalog,
    now: datetime,
    *,
    generation: int,
    hold: float,
) -> NewTask:
    """Make the task of a firing. Raises what a submission of it would be refused with."""
    rule = firing.rule
    wish = Submission(
        type=rule.task,
        args=firing.args,
        priority=rule.priority,
        delay=rule.delay,
        labels={"rule": rule.name},
    )
    new, route = prepare(wish, tenant=tenant, table=table, catalog=catalog, now=now, hold=hold)
    if rule.dedupe is None:
        return new
    request = dedupe_request(tenant, rule.name, firing.dedupe, generation=generation)
    return with_key(new, request, retention=route.defaults.retention)


def dedupe_request(tenant: TenantId, rule: str, value: Any, *, generation: int = 1) -> KeyedRequest:
    """Return the idempotency key that stands for a rule and a dedupe value.

    Whatever the arguments: the first event with the value makes the task, a later one gets it.
    """
    shown = msgspec.json.encode(value, order="deterministic")
    digest = hashlib.sha256(shown)
    key = f"{rule}/{generation}/{digest.hexdigest()}"
    # No caller can have such a tenant, so no key of a caller's is ever taken by a rule.
    rules = TenantId(f"{tenant}#rules")
    return KeyedRequest(key=IdempotencyKey(key, rules), request_hash=digest.digest())


async def store_fired(
    connection: AsyncConnection, fired: Sequence[Fired]
) -> Mapping[TaskId, Accepted]:
    """Store the tasks of a transaction's events; what is there under a dedupe key stays."""
    outcomes = await tasks.insert(connection, [each.task for each in fired]) if fired else {}
    stored: dict[TaskId, Accepted] = {}
    for task_id, outcome in outcomes.items():
        if isinstance(outcome, IdempotencyKeyReused):
            raise outcome
        stored[task_id] = outcome
    if any(not each.task.hold for each in fired):
        await tasks.ring(connection)
    return stored


def event_tasks(
    decision: Decision, stored: Mapping[TaskId, Accepted] | None = None, *, generation: int = 1
) -> tuple[EventTask, ...]:
    """Return what an event says of its tasks; those stored before have their first id."""
    given = stored or {}
    return tuple(
        EventTask(
            rule=each.rule,
            task=str(given[each.task.id].id if each.task.id in given else each.task.id),
            generation=generation,
        )
        for each in decision.fired
    )
