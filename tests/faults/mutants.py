"""Mutants: the product with one mechanism taken out, and the faults that expose it.

Each is a function that patches modules in the process of a role, before the role starts; nothing
in the product knows of it. SQL is rewritten as it is loaded, and a text that is not found fails.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, LiteralString, cast
from uuid import UUID

from taskyard.storage import sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """What is taken out, which faults expose it, and which invariants may be the ones to say so."""

    patch: Callable[[], None]
    faults: tuple[str, ...]
    shown_by: frozenset[str]
    tasks: int = 200


def rewrite(file: str, statement: str, old: str, new: str) -> None:
    """Change a statement for everybody who loads it later."""
    load = sql.queries

    def changed(name: str, *, package: str = "taskyard.storage") -> Mapping[str, LiteralString]:
        statements = load(name, package=package)
        if name != file or package != "taskyard.storage":
            return statements
        text = statements[statement]
        assert old in text, f"{statement} has no {old!r}: the mutant would be no mutant"
        rewritten = {**statements, statement: cast("LiteralString", text.replace(old, new))}
        return MappingProxyType(rewritten)

    sql.queries = changed  # type: ignore[assignment]


def reply_before_commit() -> None:
    """202 is sent when the submission has arrived, not when it is durable."""
    from taskyard.core.states import State
    from taskyard.core.task import Accepted
    from taskyard.services.intake import Intake

    store = Intake.store
    under_way = set()

    async def at_once(self: Intake, task: Any) -> Accepted:
        storing = asyncio.ensure_future(store(self, task))
        under_way.add(storing)
        storing.add_done_callback(lambda done: (under_way.discard(done), done.exception()))
        now = datetime.now(UTC)
        return Accepted(id=task.id, state=State.PENDING, created_at=now, due_at=now)

    Intake.store = at_once  # type: ignore[assignment, method-assign]


def no_confirm() -> None:
    """A publish counts as confirmed once it is written to the socket.

    The reconciler would repair the damage, later: it is taken out too, here and in the next two.
    """
    from taskyard.broker import publisher

    publish = publisher._publish_one
    under_way = set()

    async def hopefully(*given: Any) -> publisher.Confirm:
        publishing = asyncio.ensure_future(publish(*given))
        under_way.add(publishing)
        publishing.add_done_callback(under_way.discard)
        await asyncio.sleep(0)
        return publisher.Confirm.CONFIRMED

    publisher._publish_one = hopefully
    no_reconciler()


def no_mandatory() -> None:
    """The broker may drop what no queue is bound for, and confirms it all the same."""
    from taskyard.broker import publisher

    publish = publisher._publish_one

    async def anywhere(*given: Any) -> publisher.Confirm:
        confirm = await publish(*given)
        dropped = confirm is publisher.Confirm.UNROUTABLE
        return publisher.Confirm.CONFIRMED if dropped else confirm

    publisher._publish_one = anywhere
    no_reconciler()


def ack_before_claim() -> None:
    """A wake-up is acknowledged when a worker gets it, not when its task has been dealt with."""
    from taskyard.worker import app
    from taskyard.worker.base import TaskyardTask

    configuration = app._configuration

    def early(*given: Any) -> dict[str, Any]:
        return configuration(*given) | {"task_acks_late": False}

    app._configuration = early
    TaskyardTask.acks_late = False
    no_reconciler()


def no_fencing() -> None:
    """Who finishes need not show the lease."""
    rewrite("attempts", "finish", "AND lease_token = %(token)s", "AND %(token)s IS NOT NULL")


def no_unique_key() -> None:
    """Idempotency keys are taken for decoration."""
    from taskyard.storage import tasks

    insert = tasks.insert

    async def unkeyed(connection: Any, submitted: Any) -> Any:
        return await insert(connection, [replace(task, keyed=None) for task in submitted])

    tasks.insert = unkeyed


def no_reaper() -> None:
    """Nobody takes back what a dead worker has left."""
    from taskyard.services.reap import Reaper

    async def idle(_: Reaper) -> int:
        return 0

    Reaper.pass_once = idle  # type: ignore[method-assign]


def worker_clock() -> None:
    """Leases run by the worker's clock, which is five minutes ahead of the database's."""
    ahead = "now() + interval '5 minutes' + interval '15 seconds'"
    rewrite("attempts", "claim", "now() + interval '15 seconds'", ahead)
    rewrite("attempts", "extend_leases", "now() + interval '15 seconds'", ahead)


def effects_apart() -> None:
    """What a task writes in its transaction is committed before the task has finished."""
    from taskyard.worker.runtime import Runtime

    connect = Runtime.effects_connection

    def committing(self: Runtime) -> Any:
        connection = connect(self)
        if not connection.autocommit:
            connection.autocommit = True
        return connection

    Runtime.effects_connection = committing  # type: ignore[method-assign]


def one_token_for_all() -> None:
    """Every lease has the same token."""
    from taskyard.worker import base

    base.uuid4 = lambda: UUID(int=7)  # type: ignore[attr-defined]


def no_reconciler() -> None:
    """Nobody compares what was published with what the broker still holds."""
    from taskyard.services.reconcile import Reconciler

    async def idle(_: Reconciler) -> bool:
        return False

    Reconciler.check = idle  # type: ignore[method-assign]


# Some of them strike while an attempt holds its lease: it waits for the table to finish.
_KILLS = ("kill-waiting-worker", "kill-worker", "kill-waiting-worker", "kill-worker")

MUTANTS: dict[str, Mutant] = {
    "reply-before-commit": Mutant(
        patch=reply_before_commit,
        faults=("kill-waiting-api", "kill-waiting-api"),
        shown_by=frozenset({"accepted-is-kept"}),
    ),
    "no-confirm": Mutant(
        patch=no_confirm,
        faults=("unplug-rabbitmq", "unplug-rabbitmq"),
        shown_by=frozenset({"one-end"}),
    ),
    "no-mandatory": Mutant(
        patch=no_mandatory,
        faults=("delete-queue", "delete-queue"),
        shown_by=frozenset({"one-end"}),
    ),
    "ack-before-claim": Mutant(
        patch=ack_before_claim,
        faults=("crash-postgres-kill-workers", "crash-postgres-kill-workers"),
        shown_by=frozenset({"one-end"}),
    ),
    "no-fencing": Mutant(
        patch=no_fencing,
        faults=("freeze-one-worker", "freeze-one-worker"),
        shown_by=frozenset({"no-stale-write", "results-never-change"}),
        tasks=400,
    ),
    "no-unique-key": Mutant(
        patch=no_unique_key,
        faults=("swallow-reply", "cut-clients"),
        shown_by=frozenset({"one-task-per-key"}),
    ),
    "no-reaper": Mutant(
        patch=no_reaper,
        faults=_KILLS,
        shown_by=frozenset({"one-end"}),
        tasks=400,
    ),
    "worker-clock": Mutant(
        patch=worker_clock,
        faults=_KILLS,
        shown_by=frozenset({"one-end"}),
        tasks=400,
    ),
    "effects-apart": Mutant(
        patch=effects_apart,
        faults=("kill-worker-child",),
        shown_by=frozenset({"exactly-once-effect"}),
    ),
    "no-reconciler": Mutant(
        patch=no_reconciler,
        faults=("purge-queue", "delete-queue", "purge-queue"),
        shown_by=frozenset({"one-end"}),
    ),
    "one-token-for-all": Mutant(
        patch=one_token_for_all, faults=(), shown_by=frozenset({"unique-tokens"})
    ),
}
