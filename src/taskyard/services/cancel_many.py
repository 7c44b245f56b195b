"""Cancel of many tasks at once: what has not started never will, what runs is asked to stop."""

from dataclasses import dataclass

from taskyard.core.audit import Action
from taskyard.core.states import UNSTARTED, State
from taskyard.services import audit
from taskyard.services.many_tasks import WITHIN, ManyReport, ManyRequest, find_meant, said
from taskyard.storage import many_tasks
from taskyard.storage.pool import OwnPool, borrowed
from taskyard.storage.task_search import Search

_STATES = UNSTARTED | {State.RUNNING}


class CancelManyRequest(ManyRequest, kw_only=True):
    """The body of POST /v1/tasks/cancel."""


@dataclass(slots=True, kw_only=True)
class CancelReport(ManyReport):
    """`prevented` and `interrupted` are the receipts of all: services/cancel.py says what of."""

    prevented: int = 0
    interrupted: int = 0


async def cancel_many(
    pool: OwnPool, search: Search, wish: CancelManyRequest, *, within: float = WITHIN
) -> CancelReport:
    """Cancel what is found and has not ended, or only tell what would become of it.

    Every 200 in a transaction of their own: when the request breaks off, what was done stays so,
    and the same request does the rest. Raises InvalidRequest when nothing is asked for.
    """
    meant = await find_meant(pool, search, wish, states=_STATES)
    report = CancelReport(states=meant.states, more=meant.more, looked_at=meant.looked_at)
    if wish.dry_run:
        report.interrupted = meant.states.get(State.RUNNING, 0)
        report.prevented = len(meant.ids) - report.interrupted
        report.count = len(meant.ids)
        return report
    report.left = len(meant.ids)
    for ids in meant.some(within=within):
        async with borrowed(pool) as connection:
            prevented, interrupted = await many_tasks.cancel(
                connection, ids, "cancelled by the caller"
            )
            if prevented or interrupted:
                detail = {
                    "prevented": prevented, "interrupted": interrupted, "filter": said(search),
                }  # fmt: skip
                await audit.record(connection, Action.TASKS_CANCELLED, "tasks", detail)
        report.prevented += prevented
        report.interrupted += interrupted
        report.left -= len(ids)
    report.count = report.prevented + report.interrupted
    return report
