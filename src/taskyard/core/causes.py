"""Causes: why a task is not running, or what else it does; each with what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Cause(StrEnum):
    """What a task waits for, or how it ended. The values are stable."""

    DUE_LATER = "due-later"
    RETRY_LATER = "retry-later"
    LIMIT_FULL = "limit-full"
    LIMIT_PAUSED = "limit-paused"
    WORKER_LACKS_TYPE = "worker-lacks-type"
    HELD = "held"
    DISPATCHED_SOON = "dispatched-soon"
    NO_DISPATCHER = "no-dispatcher"
    BROKER_AWAY = "broker-away"
    BROKER_BLOCKED = "broker-blocked"
    BROKER_SILENT = "broker-silent"
    BROKER_REFUSES = "broker-refuses"
    UNROUTABLE = "unroutable"
    NO_POOL = "no-pool"
    POOL_PAUSED = "pool-paused"
    NO_QUEUE = "no-queue"
    NO_WORKER = "no-worker"
    OTHERS_FIRST = "others-first"
    WINDOW_FULL = "window-full"
    SLOTS_BUSY = "slots-busy"
    STARTS_SOON = "starts-soon"
    NOT_TAKEN = "not-taken"
    RUNNING = "running"
    STOPPING = "stopping"
    WORKER_SILENT = "worker-silent"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    QUARANTINED = "quarantined"


# What is not here needs nobody to do anything. docs/why.md says the same.
ADVICE: Mapping[Cause, str] = {
    Cause.LIMIT_FULL: "raise the limit in tasks.toml or resources.toml if it is too low",
    Cause.LIMIT_PAUSED: "see what the tasks reported with `taskyard resources`",
    Cause.WORKER_LACKS_TYPE: "deploy workers that know the type, or stop the old ones",
    Cause.NO_DISPATCHER: "start one: `taskyard dispatcher`",
    Cause.BROKER_AWAY: "bring RabbitMQ back; `taskyard doctor` says what it answers",
    Cause.BROKER_BLOCKED: "give RabbitMQ memory or disk: `rabbitmqctl status` shows its alarms",
    Cause.BROKER_SILENT: "look at the log of the dispatcher and at RabbitMQ's alarms",
    Cause.BROKER_REFUSES: "look at RabbitMQ's log; the queue could not take the wake-up",
    Cause.UNROUTABLE: "run `taskyard topology apply`: no queue is bound for the type",
    Cause.NO_POOL: "give the type to a pool in pools.toml, or cancel the task",
    Cause.POOL_PAUSED: "resume it: `taskyard pools resume <pool>`",
    Cause.NO_QUEUE: "run `taskyard topology apply`; the reconciler does so, too",
    Cause.NO_WORKER: "start one: `taskyard worker <pool>`",
    Cause.OTHERS_FIRST: "start more workers, or raise it: `taskyard reprioritise`",
    Cause.WINDOW_FULL: "start more workers if this is too slow",
    Cause.SLOTS_BUSY: "start more workers if this is too slow",
    Cause.NOT_TAKEN: "restart the pool's workers if it stays so",
    Cause.WORKER_SILENT: "see whether a dispatcher runs: it takes such tasks back",
    Cause.FAILED: "mend the cause, then `taskyard replay`",
    Cause.EXPIRED: "if it is still wanted, `taskyard replay`",
    Cause.QUARANTINED: "see what kills the worker before `taskyard replay`",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """One cause and one sentence; `since` and `until` are dates, `ahead` counts who goes before it.

    Before `until` nothing changes by itself; None is as soon as can be, or nobody knows.
    """

    code: Cause
    sentence: str
    since: datetime | None = None
    until: datetime | None = None
    ahead: int | None = None

    @property
    def advice(self) -> str | None:
        """What to do about it; None when nothing is to be done."""
        return ADVICE.get(self.code)
