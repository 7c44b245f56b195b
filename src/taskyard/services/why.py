"""Why: gather what keeps a task from running, from the database and the broker, and judge it."""

from dataclasses import dataclass
from datetime import timedelta

from taskyard.broker.depths import Depth, depths
from taskyard.broker.publisher import Publisher
from taskyard.core.causes import Why
from taskyard.core.circumstances import Circumstances, LimitFacts, PoolFacts, TaskFacts
from taskyard.core.errors import BrokerUnavailable, TaskNotFound, UnknownTaskType
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.routing_limits import limits_for
from taskyard.core.states import UNSTARTED, State
from taskyard.core.task import TaskId
from taskyard.core.why import why
from taskyard.services.pools import queues_by_pool
from taskyard.storage import limits, run_times
from taskyard.storage import why as facts
from taskyard.storage.limits import Survey
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.pool import Pool as ConnectionPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Where it is asked: the routing table, and the broker as this process reaches it."""

    table: RoutingTable
    amqp_url: str
    prefix: str
    publisher: Publisher


async def why_not_running(own: OwnPool, task_id: TaskId, yard: Yard) -> Why:
    """Return why a task is not running, or what it does. Raises TaskNotFound."""
    async with borrowed(own) as connection:
        task = await facts.task_facts(connection, task_id)
    if task is None:
        raise TaskNotFound(f"there is no task {task_id}")
    if task.waits_for is not None and task.state is State.SCHEDULED:
        limit = await _limit(own.pool, yard.table, task, task.waits_for)
        return why(Circumstances(task=task, limit=limit))
    if task.state not in UNSTARTED or (task.due_at > task.at and task.state is not State.QUEUED):
        return why(Circumstances(task=task))
    return why(Circumstances(task=task, pool=await _pool(own, task, yard)))


async def _limit(
    pool: ConnectionPool, table: RoutingTable, task: TaskFacts, name: str
) -> LimitFacts:
    bounds = [each for each in limits_for(table, task.type) if each.name == name]
    if not bounds:
        return LimitFacts(name=name)  # it was taken out of the routing table
    async with borrowed(pool) as connection:
        found = (await limits.survey(connection, bounds)).get(name, Survey())
        allowed = bounds[0].shrunk(found.standing.share_now)
        opens_at = await facts.next_opening(connection, allowed)
    pause = found.standing.paused_for
    return LimitFacts(
        name=name,
        running=found.running,
        most=allowed.concurrency,
        rate=str(allowed.rate) if allowed.rate else None,
        waiting=found.waiting,
        paused_until=task.at + timedelta(seconds=pause) if pause else None,
        opens_at=opens_at if opens_at and opens_at > task.at else None,
    )


async def _pool(own: OwnPool, task: TaskFacts, yard: Yard) -> PoolFacts | None:
    """Return the facts of the pool that the type goes to now; it may have been another once."""
    try:
        pool = yard.table.resolve(task.type).pool
    except UnknownTaskType:
        return None
    async with borrowed(own.pool) as connection:
        counts = await facts.pool_counts(connection, task.pool, task.type)
        if task.state is State.QUEUED and task.queued_at is not None:
            ahead = await run_times.count_queued_before(
                connection, task.pool, level=task.level, since=task.queued_at
            )
        else:
            ahead = await run_times.count_ahead(
                connection,
                task.pool,
                tenant=own.owner.tenant,
                level=task.level,
                since=task.publish_at,
                task_id=task.id,
            )
    broker_up, depth = await _depth(own.pool, pool, yard)
    return PoolFacts(
        name=pool.name,
        concurrency=pool.concurrency,
        broker_up=broker_up,
        counts=counts,
        blocked=await yard.publisher.is_blocked(),
        consumers=depth.consumers if depth else None,
        ahead=ahead,
    )


async def _depth(connections: ConnectionPool, pool: Pool, yard: Yard) -> tuple[bool, Depth | None]:
    """Return whether the broker answers, and how the pool's queue stands there, if it is there."""
    queues = await queues_by_pool(
        yard.table, connections=connections, amqp_url=yard.amqp_url, prefix=yard.prefix
    )
    name = queues[pool.name].current
    try:
        return True, (await depths(yard.amqp_url, [name]))[name]
    except BrokerUnavailable:
        return False, None
