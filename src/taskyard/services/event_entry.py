"""Entry of events: whether there is room for the tasks that they make."""

from collections.abc import Sequence

from taskyard.core.backlog import Demand
from taskyard.core.errors import BacklogFull, QuotaExceeded
from taskyard.services.entry import Entry, Group, demand
from taskyard.services.fire import Decision
from taskyard.services.inbox import Incoming, Taken
from taskyard.services.quotas import Admission
from taskyard.storage import inbox
from taskyard.storage.pool import OwnPool, borrowed


def demands(decision: Decision) -> list[Demand]:
    """Return what the tasks ask for that come of a decision."""
    return [demand(fired.task) for fired in decision.fired]


def demands_of(taken: Taken) -> list[Demand]:
    """Return what the tasks of a delivery ask for; what is no event makes none."""
    return demands(taken.decision) if isinstance(taken, Incoming) else []


async def room_for(
    entry: Entry, pool: OwnPool, groups: Sequence[Group], *, begun: bool
) -> Admission:
    """Let in what a replay makes, event by event, the first ones first.

    Unless it has `begun`, a replay that cannot fire anything raises BacklogFull or QuotaExceeded;
    StorageUnavailable. Room is taken over another connection: nothing may be locked meanwhile.
    """
    admission = await entry.let_in(pool.owner.tenant, groups)
    if admission.refusal and not begun and not any(groups[: admission.granted]):
        raise admission.refusal
    return admission


async def require_room(pool: OwnPool, entry: Entry, events: Sequence[Incoming]) -> None:
    """Let in what events make, all of it. Raises BacklogFull, QuotaExceeded, StorageUnavailable.

    Events that were taken in before make nothing new, so they are never refused.
    """
    tenant = pool.owner.tenant
    try:
        await entry.require(tenant, [demands_of(each) for each in events])
    except (BacklogFull, QuotaExceeded):
        names = [(each.event.source, each.event.id) for each in events]
        async with borrowed(pool) as connection:
            known = await inbox.find(connection, names)
        if not known:
            raise
        new = [each for each, name in zip(events, names, strict=True) if name not in known]
        await entry.require(tenant, [demands_of(each) for each in new])
