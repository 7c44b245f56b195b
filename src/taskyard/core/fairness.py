"""Who comes next: by effective priority, then by weighted fair shares of the tenants.

Between tenants it is start-time fair queueing: a tenant's turn costs it virtual time, the less the
more it weighs, and the one that had least is next. A tenant that waited for nothing starts where
the pool is, so nobody saves up (Goyal, Vin, Cheng: Start-time Fair Queueing, SIGCOMM 1996).

Waiting raises a task by a level for each `ageing`. Among a tenant's own tasks all of its waiting
counts. Among tenants only the time since the tenant was served counts: else a tenant with a long
backlog would outrank whoever comes later, for having submitted much.
"""

import heapq
import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from taskyard.core.principal import TenantId
from taskyard.core.routing import HIGHEST_PRIORITY
from taskyard.core.task import TaskId
from taskyard.core.trace import TraceContext
from taskyard.core.wakeup import WakeUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A task in its line: seconds since it was due, and what its turn costs, 1 on average."""

    id: TaskId
    type: str
    attempt: int
    waited: float
    cost: float = 1.0
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The head of a line: a tenant's tasks of one level. `whole` when nothing waits behind."""

    tenant: TenantId
    level: int
    tasks: tuple[Waiting, ...]
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A tenant's weight, the virtual time it has had, and the seconds since it was served."""

    weight: float = 1.0
    spent: float = 0.0
    idle: float = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Whom to wake, in order; what those tenants have had then; the pool's virtual time."""

    wakeups: tuple[WakeUp, ...]
    spent: Mapping[TenantId, float]
    virtual_time: float


class _Turn:
    """A tenant that waits for its turn."""

    def __init__(self, tenant: TenantId, share: Share) -> None:
        self.tenant, self.idle, self._weight = tenant, share.idle, share.weight
        self.spent = share.spent
        self.lines: dict[int, deque[Waiting]] = {}
        self.unknown = False  # whether a line was read to its end, and goes on

    def level(self, ageing: float) -> int:
        """Return its effective priority among tenants."""
        raised = (
            level + min(tasks[0].waited, self.idle) / ageing for level, tasks in self.lines.items()
        )
        return min(HIGHEST_PRIORITY, math.floor(max(raised)))

    def take(self, ageing: float, *, parts: frozenset[tuple[TenantId, int]]) -> Waiting:
        """Take its own most urgent task."""
        level = max(self.lines, key=lambda at: (at + self.lines[at][0].waited / ageing, at))
        task = self.lines[level].popleft()
        if not self.lines[level]:
            del self.lines[level]
            self.unknown = (self.tenant, level) in parts
        self.idle = 0.0
        self.spent += task.cost / self._weight
        return task


def choose(
    lines: Sequence[Line],
    shares: Mapping[TenantId, Share],
    *,
    virtual_time: float,
    room: int,
    ageing: float,
) -> Choice:
    """Return the next `room` wake-ups, or fewer where no more can be told from what was read.

    `ageing` is the seconds of waiting that raise a task by one level.
    """
    turns: dict[TenantId, _Turn] = {}
    parts = frozenset((line.tenant, line.level) for line in lines if not line.whole)
    for line in lines:
        turn = turns.setdefault(line.tenant, _Turn(line.tenant, shares[line.tenant]))
        turn.lines[line.level] = deque(line.tasks)
    for turn in turns.values():
        turn.spent = max(turn.spent, virtual_time)
    queue = [(-turn.level(ageing), turn.spent, name) for name, turn in turns.items()]
    heapq.heapify(queue)
    chosen: list[WakeUp] = []
    spent: dict[TenantId, float] = {}
    while queue and len(chosen) < room:
        lowest, start, tenant = heapq.heappop(queue)
        turn, virtual_time = turns[tenant], max(virtual_time, start)
        task = turn.take(ageing, parts=parts)
        spent[tenant] = turn.spent
        chosen.append(_wakeup(task, priority=-lowest))
        if turn.unknown:
            break
        if turn.lines:
            heapq.heappush(queue, (-turn.level(ageing), turn.spent, tenant))
    return Choice(wakeups=tuple(chosen), spent=spent, virtual_time=virtual_time)


def _wakeup(task: Waiting, *, priority: int) -> WakeUp:
    return WakeUp(
        id=task.id, type=task.type, priority=priority, attempt=task.attempt, trace=task.trace
    )
