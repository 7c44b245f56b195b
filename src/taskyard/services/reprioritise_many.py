"""Reprioritise of many tasks at once: what waits gets another place in the order."""

from taskyard.broker.publisher import Publisher
from taskyard.core.audit import Action
from taskyard.core.states import UNSTARTED
from taskyard.services import audit
from taskyard.services.field_types import Priority
from taskyard.services.many_tasks import WITHIN, ManyReport, ManyRequest, find_meant, said
from taskyard.services.reprioritise import require_priority
from taskyard.storage import many_tasks
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.task_search import Search


class ReprioritiseManyRequest(ManyRequest, kw_only=True):
    """The body of POST /v1/tasks/reprioritise."""

    priority: Priority


async def reprioritise_many(
    pool: OwnPool,
    search: Search,
    wish: ReprioritiseManyRequest,
    *,
    publisher: Publisher,
    within: float = WITHIN,
) -> ManyReport:
    """Give what is found, waits and has another priority this one, or only count it.

    Every 200 in a transaction of their own. Raises InvalidRequest.
    """
    require_priority(wish.priority)
    meant = await find_meant(pool, search, wish, states=UNSTARTED, other_than=wish.priority)
    report = ManyReport(states=meant.states, more=meant.more, looked_at=meant.looked_at)
    if wish.dry_run:
        report.count = len(meant.ids)
        return report
    report.left = len(meant.ids)
    for ids in meant.some(within=within):
        async with borrowed(pool) as connection:
            moved, queued = await many_tasks.reprioritise(connection, ids, wish.priority)
            if moved:
                detail = {"count": moved, "priority": wish.priority, "filter": said(search)}
                await audit.record(connection, Action.TASKS_REPRIORITISED, "tasks", detail)
        # The broker cannot move the wake-ups that it holds: services/reprioritise.py says what for.
        await publisher.publish(queued)
        report.count += moved
        report.left -= len(ids)
    return report
