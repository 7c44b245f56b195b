"""The routing table: which pool runs which task type, and with what defaults."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache

from taskyard.core import topics
from taskyard.core.errors import UnknownTaskType
from taskyard.core.limits import Limit, Rate
from taskyard.core.quotas import Quota
from taskyard.core.retry import RetryPolicy
from taskyard.core.rules import EventRules

LOWEST_PRIORITY, HIGHEST_PRIORITY = 0, 9


class Execution(StrEnum):
    """How a pool's workers run tasks side by side."""

    PROCESSES = "processes"
    THREADS = "threads"
    ASYNCIO = "asyncio"


class QueueType(StrEnum):
    """What kind of RabbitMQ queue a pool has; `auto` takes the one with strict priorities."""

    AUTO = "auto"
    CLASSIC = "classic"
    QUORUM = "quorum"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pool: its queue's patterns, how its workers run, and who comes next.

    `window` is how many wake-ups the broker may hold of it; without one, it is measured. Waiting
    raises a task by one level of priority for each `ageing`. When what waits takes the pool longer
    than `longest_wait`, no more is accepted.
    """

    name: str
    tasks: tuple[str, ...]
    modules: tuple[str, ...]
    execution: Execution = Execution.PROCESSES
    concurrency: int = 2
    queue_type: QueueType = QueueType.AUTO
    prefetch: int = 1
    drain: timedelta = timedelta(seconds=30)
    window: int | None = None
    ageing: timedelta = timedelta(minutes=1)
    longest_wait: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDefaults:
    """What holds for a task type unless the submission says otherwise.

    `timeout` bounds one attempt, `deadline` the whole task from its submission on. A task that is
    cancelled while it runs has `cancel_grace` to end by itself. With `at_most_once` no attempt
    follows another: a lost worker leaves the outcome unknown. `concurrency` and `rate` bound each
    task type by itself, `resources` name budgets that it shares with others.
    """

    priority: int = 4
    timeout: timedelta = timedelta(minutes=5)
    deadline: timedelta | None = None
    cancel_grace: timedelta = timedelta(seconds=10)
    at_most_once: bool = False
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    retention: timedelta = timedelta(days=7)
    max_args: int = 256 * 1024
    concurrency: int | None = None
    rate: Rate | None = None
    resources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a task type goes and what holds for it there."""

    type: str
    pool: Pool
    pattern: str
    defaults: TaskDefaults


@dataclass(frozen=True, eq=False)
class RoutingTable:
    """Pools by name and task defaults by pattern, in the order of the files; rules for events."""

    pools: Mapping[str, Pool]
    defaults: Mapping[str, TaskDefaults]
    events: EventRules = field(default_factory=EventRules)
    resources: Mapping[str, Limit] = field(default_factory=dict)
    quota: Quota = field(default_factory=Quota)

    def resolve(self, task_type: str) -> Route:
        """Return the one route of a task type.

        Raises UnknownTaskType when no pool's pattern matches it.
        """
        route = _route(self, task_type)
        if route is None:
            raise UnknownTaskType(f"no pool runs the task type {task_type!r}")
        return route

    def pools_for(self, task_type: str) -> Iterator[tuple[Pool, str]]:
        """Yield each pool that a broker would send this type to, with the pattern that says so."""
        for pool in self.pools.values():
            for pattern in pool.tasks:
                if topics.matches(pattern, task_type):
                    yield pool, pattern
                    break

    def defaults_for(self, task_type: str) -> TaskDefaults:
        """Return the entry named exactly so, else the first pattern that matches, else defaults."""
        if (exact := self.defaults.get(task_type)) is not None:
            return exact
        for pattern, defaults in self.defaults.items():
            if topics.matches(pattern, task_type):
                return defaults
        return TaskDefaults()


@lru_cache(maxsize=4096)
def _route(table: RoutingTable, task_type: str) -> Route | None:
    for pool, pattern in table.pools_for(task_type):
        defaults = table.defaults_for(task_type)
        return Route(type=task_type, pool=pool, pattern=pattern, defaults=defaults)
    return None
